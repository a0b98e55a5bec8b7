package storage

import (
	"bytes"
	"context"
	"os"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// TagsPlace says where the tags of a volume's blocks are kept.
type TagsPlace uint8

const (
	// TagsOnDevice: beside the blocks. Whoever has the device can put an old
	// block back with its old tag, and it reads as good.
	TagsOnDevice TagsPlace = iota
	// TagsInMemory: in this machine's memory, where nobody can put an old one
	// back: an old block cannot be read ([Freshness]). For ephemeral stores.
	TagsInMemory
)

// TagOptions say where tags are and how much memory they may take. The zero value
// keeps them on the device.
//
// Tags take 32 bytes for each 4096 of the filesystem, as it grows, and it grows as
// it fills: a block that may be written always has memory for its tag, taken
// before. That memory is in no filesystem, and is freed by Close. Where the
// machine has active swap, which would write it to a disk, Create refuses.
type TagOptions struct {
	Place TagsPlace
	// MemoryLimit is the most memory that tags may ever take, in bytes. 0: half
	// of what is available when Create is called.
	MemoryLimit uint64
	// Short says what Create does when the tags of the whole device could take
	// more than that.
	Short TagShortage
}

// TagShortage is what to do where the tags of a whole device are too much.
type TagShortage uint8

const (
	// RefuseShortage: Create fails with [ErrNotSupported] and the figures.
	RefuseShortage TagShortage = iota
	// ShrinkStore: the store uses only as much of the device as the memory
	// covers.
	ShrinkStore
)

// TagBudget is what tags in memory can cost.
type TagBudget struct {
	Needed    uint64 `json:"needed"`    // bytes, once the whole device was written
	Limit     uint64 `json:"limit"`     // bytes that tags may take
	Available uint64 `json:"available"` // bytes of memory that are available now
	Covered   uint64 `json:"covered"`   // bytes of the device that may be used so
	Device    uint64 `json:"device"`    // bytes of the device that could be used
}

// Enough reports whether the whole device can be used.
func (b *TagBudget) Enough() bool { return b.Covered == b.Device }

// PlanTags tells what the tags of a store on the device would cost in memory, for
// a caller who wants to know before Create. It only looks at sizes.
func PlanTags(device string, opts CreateOptions) (*TagBudget, error) {
	dev, err := blockdev.Open(device, blockdev.Options{ReadOnly: true})
	if err != nil {
		return nil, failure("create", device, "", explainOpen(device, err))
	}
	defer dev.Close()
	b, err := opts.Tags.budget(dev.Size()/sectorSize - min(opts.Header.dataSector(), dev.Size()/sectorSize))
	return b, failure("create", device, "", err)
}

// tagMargin is memory that tags never take, so that the machine can work.
const tagMargin = 32 << 20

// budget is that for a device of so many sectors.
func (o TagOptions) budget(sectors uint64) (*TagBudget, error) {
	layout, err := integrity.PlanSeparate(sectors)
	if err != nil {
		return nil, err
	}
	available := meminfo("MemAvailable:")
	b := &TagBudget{
		Needed: layout.SeparateBytes(), Limit: o.MemoryLimit, Available: available,
		Device: layout.ProvidedSectors * sectorSize,
	}
	if b.Limit == 0 {
		b.Limit = available / 2
	}
	b.Limit = min(b.Limit, available-min(available, tagMargin))
	b.Covered = b.Device
	if b.Needed > b.Limit {
		b.Covered = integrity.SeparateSectors(b.Limit) * sectorSize
	}
	return b, nil
}

// check refuses what the budget does not cover.
func (o TagOptions) check(b *TagBudget) error {
	if o.MemoryLimit > b.Limit {
		return refuse(ErrNotSupported, "allow less, or give the guest more memory",
			"tags may take %s of memory, but only %s are available, %s of them for other work",
			humanize.IBytes(o.MemoryLimit), humanize.IBytes(b.Available), humanize.IBytes(tagMargin))
	}
	if b.Enough() || o.Short == ShrinkStore {
		return nil
	}
	return refuse(ErrNotSupported, "allow them more, use a smaller device or no more of it than that covers, or keep the tags on the device",
		"tags of %s take up to %s of memory, but may take %s (%s are available): enough for %s",
		humanize.IBytes(b.Device), humanize.IBytes(b.Needed), humanize.IBytes(b.Limit), humanize.IBytes(b.Available), humanize.IBytes(b.Covered))
}

// checkTags refuses combinations that cannot be.
func (c *creation) checkTags() error {
	if c.opts.Tags.Place != TagsInMemory {
		if c.opts.Header != HeaderWritten || c.opts.Tags != (TagOptions{}) {
			return refuse(ErrInvalid, "keep the tags in memory", "a store with its tags on the device needs its header, and has no memory for tags")
		}
		return nil
	}
	switch {
	case c.opts.Key != nil:
		return refuse(ErrInvalid, "leave the key out, or keep the tags on the device", "tags in memory are gone with this guest: a volume with a key could not be opened again")
	case c.integrity == NoIntegrity:
		return refuse(ErrInvalid, "", "without integrity there are no tags")
	case swapIsActive():
		return refuse(ErrNotSupported, "swapoff -a", "tags in memory would be written to the machine's active swap")
	}
	return nil
}

func swapIsActive() bool { return swapAreas() > 0 }

// swapAreas counts the lines of /proc/swaps, one for each area after the first.
func swapAreas() int {
	text, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return 0
	}
	return max(bytes.Count(text, []byte("\n"))-1, 0)
}

// planSeparate lays the volume out with its tags in memory.
func (c *creation) planSeparate(deviceSectors uint64) error {
	c.dataStart = c.opts.Header.dataSector()
	b, err := c.opts.Tags.budget(deviceSectors - c.dataStart)
	if err != nil {
		return err
	}
	if err := c.opts.Tags.check(b); err != nil {
		return err
	}
	if c.layout, err = integrity.PlanSeparate(b.Covered / sectorSize); err != nil {
		return err
	}
	c.sectors = c.layout.ProvidedSectors
	return nil
}

// makeTagMemory takes the memory for all that may be written before the
// filesystem grows: of a store without one, for everything.
func (c *creation) makeTagMemory(context.Context) (err error) {
	if c.tags, err = integrity.NewTagMemory(c.layout); err != nil {
		return err
	}
	if c.mountPoint == NoMount {
		return c.tags.Reserve(c.layout, 0, c.layout.ProvidedSectors)
	}
	layout, err := c.planFilesystem()
	if err != nil {
		return err
	}
	if err := c.tags.Reserve(c.layout, 0, layout.Size()/sectorSize); err != nil {
		return err
	}
	for _, block := range layout.ReadWhileGrowing(layout.Geometry().Growth(c.bytes())) {
		at := block * (blockSize / sectorSize)
		if err := c.tags.Reserve(c.layout, at, at+blockSize/sectorSize); err != nil {
			return err
		}
	}
	return nil
}

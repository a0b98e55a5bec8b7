package storage

import (
	"errors"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// TagMemory is the memory that tags of a live store take.
type TagMemory struct {
	Bytes uint64 `json:"bytes"` // now
	Limit uint64 `json:"limit"` // once the whole store has been written
}

// tagReserve takes memory for tags before the filesystem grows to where they
// belong. Nil does nothing: the tags are on the device.
type tagReserve struct {
	*integrity.TagMemory
	layout integrity.Layout
	taken  uint64 // sectors for which it has taken memory
}

// tagMemoryOf returns the device with the tags of an integrity layer that is not
// the one with the data.
func (l *layer) tagMemoryOf() (dm.Device, bool) {
	if l == nil || len(l.table) != 1 {
		return dm.Device{}, false
	}
	target, _ := l.table[0].Target.(dm.Integrity)
	return target.MetaDevice, target.MetaDevice != dm.Device{}
}

// readIntegrityLayer returns the integrity layer of a live store, nil without one.
func readIntegrityLayer(name string) (*layer, error) {
	control, err := dm.Open()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	return readLayer(control, name, integrityLayer)
}

func tagsAreInMemory(name string) (bool, error) {
	l, err := readIntegrityLayer(name)
	_, separate := l.tagMemoryOf()
	return separate, err
}

// openTagReserve returns nil for a store whose tags are on its device.
func openTagReserve(name string) (*tagReserve, error) {
	below, err := readIntegrityLayer(name)
	if err != nil {
		return nil, err
	}
	device, separate := below.tagMemoryOf()
	if !separate {
		return nil, nil
	}
	layout, err := integrity.PlanSeparate(below.table[0].Length)
	if err != nil {
		return nil, err
	}
	tags, err := integrity.OpenTagMemory(device)
	if err != nil {
		return nil, err
	}
	return &tagReserve{TagMemory: tags, layout: layout}, nil
}

// errTagMemory: growing would need memory that the machine's other work needs.
var errTagMemory = errors.New("too little memory for tags")

// upTo takes the memory for a filesystem of so many bytes.
func (r *tagReserve) upTo(size uint64) error {
	if r == nil {
		return nil
	}
	to := size / sectorSize
	if to <= r.taken {
		return nil
	}
	need := r.layout.TagPosition(to) - r.layout.TagPosition(r.taken)
	if available := meminfo("MemAvailable:"); available < need+tagMargin {
		return because(errTagMemory, ErrNotSupported, "give the guest more memory; the store can be used at the size it has",
			"growing to %s takes %s of memory for tags, but %s are available, and %s are left for other work",
			humanize.IBytes(size), humanize.IBytes(need), humanize.IBytes(available), humanize.IBytes(tagMargin))
	}
	if err := r.Reserve(r.layout, r.taken, to); err != nil {
		return err
	}
	r.taken = to
	return nil
}

func (r *tagReserve) close() error {
	if r == nil {
		return nil
	}
	return r.Close()
}

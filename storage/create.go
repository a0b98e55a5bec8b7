package storage

import (
	"context"
	"errors"
	"os"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/mkfs"
)

// Create makes a new volume on the device (a path or "MAJ:MIN"), with a
// filesystem, and mounts it. What the device held is destroyed.
//
// Nothing is written before every argument, the device's size and what it holds
// are checked. After a failure, or when ctx ends, nothing that was made is left
// but a device without a header. The header is the last thing written: a volume
// has one only when it is whole. The integrity superblock, which lies behind it for
// the next Open and for other tools, is never read back: the kernel has it from
// memory.
//
// It needs root, and device-mapper, dm-crypt, dm-integrity, loop devices, authenc
// and ext4 in the kernel. It runs no other program.
func Create(ctx context.Context, device string, opts CreateOptions) (*Store, error) {
	c := newCreation(device, opts)
	defer c.end()
	if err := c.run(ctx, c.steps()); err != nil {
		return nil, err
	}
	return c.store(c.opts.Grow), nil
}

// creation is a Create under way.
type creation struct {
	activation
	opts   CreateOptions
	header *cryptsetup.Header
	reused bool // the device held something that is to be destroyed
}

func newCreation(device string, opts CreateOptions) *creation {
	c := &creation{opts: opts}
	c.activation = activation{
		operation: operation{op: "create", device: device, log: discardUnlessSet(opts.Logger),
			progress: opts.Progress, failAfter: opts.failAfter},
		name: opts.Name, mountPoint: opts.MountPoint, mountFlags: opts.MountFlags, integrity: opts.Cipher.with(opts.Integrity),
		ephemeral: opts.Key == nil,
	}
	c.setSwapDefaults()
	c.setDefaults()
	return c
}

func (c *creation) steps() []step {
	steps := []step{
		{"check arguments", c.checkOptions},
		{"check device", c.checkDevice},
		{"check name and mount point", c.checkPlace},
		{"make keys", c.makeKeys},
		{"clear device", c.clearDevice},
		{"mark as unfinished", c.markUnfinished},
	}
	if c.opts.Tags.Place == TagsInMemory {
		steps = append(steps, step{"make tag memory", c.makeTagMemory})
	}
	if c.integrity != NoIntegrity {
		steps = append(steps, step{"format integrity layer", c.formatIntegrity})
	}
	steps = append(steps, step{"activate encryption", c.activateCrypt})
	if c.mountPoint != NoMount {
		steps = append(steps, step{StepWriteFilesystem, c.writeFilesystem})
	}
	if c.opts.Swap != nil {
		steps = append(steps, step{"write swap area", c.writeSwapArea})
	}
	if c.opts.Header == HeaderWritten {
		steps = append(steps, step{"write header", c.writeHeader})
	}
	steps = append(steps, step{"mark as whole", c.markWhole})
	if c.mountPoint != NoMount {
		steps = append(steps, step{"mount", c.mount})
	}
	if c.opts.Swap != nil {
		steps = append(steps, step{"swap on", c.swapOn})
	}
	return steps
}

func (c *creation) checkOptions(ctx context.Context) error {
	if c.mountFlags&ReadOnly != 0 {
		return refuse(ErrInvalid, "mount it read-only with Open, once something is on it", "a new store cannot be read-only: nobody could write to it")
	}
	if err := c.opts.Cipher.check(c.opts.Integrity); err != nil {
		return err
	}
	if err := c.checkTags(); err != nil {
		return err
	}
	if err := c.checkSwap(ctx); err != nil {
		return err
	}
	return c.checkArguments(ctx)
}

func (c *creation) checkDevice(ctx context.Context) error {
	if err := c.claimDevice(ctx); err != nil {
		return err
	}
	dev, allowed := c.dev, c.opts.Overwrite
	var err error
	c.reused, err = await(ctx, silentDevice, func() (bool, error) { return dev.checkBlank(allowed) }, keep)
	if err != nil {
		return err
	}
	return c.explainPlan(c.planFor(c.dev.sectors()))
}

// planFor lays out what would be on a device of so many sectors, or refuses it.
func (c *creation) planFor(deviceSectors uint64) error {
	if err := c.plan(deviceSectors); err != nil {
		return err
	}
	if c.mountPoint == NoMount {
		return c.checkSwapSize()
	}
	_, err := c.planFilesystem()
	return err
}

func (c *creation) planFilesystem() (*mkfs.Layout, error) {
	return mkfs.Plan(c.bytes(), c.mkfsOptions())
}

// plan lays the integrity layer out. An ephemeral volume dies with the guest.
func (c *creation) plan(deviceSectors uint64) error {
	c.sectors = deviceSectors - dataSector
	journal := integrity.DefaultJournal
	if c.ephemeral {
		journal = integrity.MinimalJournal
	}
	if c.opts.Tags.Place == TagsInMemory {
		return c.planSeparate(deviceSectors)
	}
	if c.integrity == NoIntegrity {
		return nil
	}
	var err error
	c.layout, err = integrity.Plan(deviceSectors, dataSector, journal)
	c.sectors = c.layout.ProvidedSectors
	return err
}

func (c *creation) makeKeys(context.Context) error {
	key, err := cryptsetup.NewVolumeKey(c.integrity)
	if err != nil {
		return err
	}
	c.key = key
	c.header, err = cryptsetup.New(key, cryptsetup.Options{Integrity: c.integrity})
	if err != nil {
		return err
	}
	c.id = c.header.UUID()
	if c.opts.Key == nil {
		return nil
	}
	if _, err = c.header.AddKeyslot(c.opts.Key.bytes.Bytes(), key, nil); err != nil {
		return err
	}
	if err := c.header.Authenticate(key, 0); err != nil {
		return err
	}
	c.noteHeader(c.header)
	return nil
}

// clearDevice takes away both headers of a volume of before, and from a device
// that holds anything else also what its signatures and backups are made of.
func (c *creation) clearDevice(context.Context) error {
	if c.reused {
		c.log.Info("destroying what the device holds", "device", c.device)
		if err := c.dev.zero(0, cryptsetup.DataOffset); err != nil {
			return err
		}
		return c.dev.zero(c.dev.Size()-tailSize, tailSize)
	}
	if c.opts.Key == nil && c.opts.Header == HeaderWritten {
		return c.dev.writeZeros(0, headersSize) // the sync of the new header is enough
	}
	return c.dev.zero(0, headersSize)
}

func (c *creation) formatIntegrity(ctx context.Context) error {
	return c.activateIntegrity(ctx, integrity.Format)
}

func (c *creation) mkfsOptions() mkfs.Options {
	o := mkfs.Options{
		BytesPerInode: c.opts.Filesystem.BytesPerInode,
		InodeSize:     c.opts.Filesystem.InodeSize,
		Label:         c.opts.Filesystem.Label,
		Journal:       c.opts.Key != nil && !c.opts.Filesystem.NoJournal,
		GrowTo:        c.bytes(),
	}
	o.Size = seed(c.bytes(), o, c.opts.Tags.Place)
	o.Progress = func(done, total uint64) {
		c.progress(Progress{Step: StepWriteFilesystem, Done: done, Total: total})
	}
	return o
}

func (c *creation) writeFilesystem(ctx context.Context) error {
	f, err := c.openMapping()
	if err != nil {
		return err
	}
	layout, err := mkfs.Format(ctx, f, c.bytes(), c.mkfsOptions())
	if err == nil {
		err = layout.PrepareGrowth(ctx, f, layout.Geometry().Growth(c.bytes()))
	}
	return errors.Join(err, c.sync(err, f), f.Close())
}

// sync brings what was written to the device, so that a header is there only when
// what it describes is. After a failure that is not worth the time, nor for an
// ephemeral volume, which nobody can open after a crash anyway.
func (c *creation) sync(failed error, f *os.File) error {
	if failed != nil || c.opts.Key == nil {
		return nil
	}
	return f.Sync()
}

func (c *creation) writeHeader(context.Context) error {
	// On any failure from here on, a volume that looks whole must not stay.
	c.undo.Push("take the header back", func(context.Context) error {
		return c.dev.zero(0, headersSize)
	})
	if err := c.header.Write(c.dev.File()); err != nil {
		return err
	}
	return c.dev.File().Sync()
}

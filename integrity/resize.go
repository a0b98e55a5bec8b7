package integrity

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Resize makes a live layer, and the mapping below it, as large as m.Layout says,
// from [Layout.Resize]: its device was enlarged. Both may be in use. m is otherwise as
// for the Activate that made them; m.Mode is that of the live layer. What they have
// already they keep, so Resize can be called again after it was cut off. It never
// makes anything smaller.
//
// The kernel writes the new size into the superblock in memory. That on the device
// stays as it is until [WriteSuperblock].
//
// A mapping that is not the one that Activate or Format made is left alone, with
// [ErrKernelDisagrees].
func Resize(ctx context.Context, m Mapping) error {
	return opError("resize", m.Name, m.resize(ctx))
}

func (m Mapping) resize(ctx context.Context) (err error) {
	if m.Layout.Separate {
		return fmt.Errorf("%w: a layer with its tags in memory keeps its size", ErrInvalid)
	}
	if err := m.check(); err != nil {
		return err
	}
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, step := range []func(*dm.Control) error{m.resizeBelow, m.resizeLayer, m.verifyResized} {
		if err := errors.Join(ctx.Err(), kernelDisagrees(step(c))); err != nil {
			return err
		}
	}
	return nil
}

func (m Mapping) resizeBelow(c *dm.Control) error {
	name := Below(m.Name)
	live, err := c.Table(name)
	if err != nil {
		return err
	}
	device, err := dm.DeviceOf(m.Device)
	if err != nil {
		return err
	}
	memory := dm.Device{}
	if len(live) == 3 {
		target, _ := live[1].Target.(dm.Linear)
		memory = target.Device
	}
	before := m
	if before.Layout, err = m.Layout.Resize(live.Sectors()); err != nil {
		return err
	}
	if err := before.tableOver(device, memory).Matches(live); err != nil {
		return err
	}
	if before.Layout.DeviceSectors >= m.Layout.DeviceSectors {
		return nil
	}
	return c.Replace(name, m.tableOver(device, memory), dm.LoadOptions{ReadOnly: m.ReadOnly})
}

func (m Mapping) resizeLayer(c *dm.Control) error {
	live, err := c.Table(m.Name)
	if err != nil {
		return err
	}
	below, err := os.Open(dm.Path(Below(m.Name)))
	if err != nil {
		return err
	}
	defer below.Close()
	table, err := m.table(below)
	if err != nil {
		return err
	}
	if err := (dm.Table{{Length: live.Sectors(), Target: table[0].Target}}).Matches(live); err != nil {
		return err
	}
	if live.Sectors() >= table.Sectors() {
		return nil
	}
	return c.Replace(m.Name, table, dm.LoadOptions{ReadOnly: m.ReadOnly})
}

// verifyResized compares what the kernel made of it, with the superblock in memory.
func (m Mapping) verifyResized(c *dm.Control) error {
	status, err := c.IntegrityStatus(m.Name)
	if err != nil {
		return err
	}
	if err := m.checkStatus(status); err != nil {
		return err
	}
	below, err := os.OpenFile(dm.Path(Below(m.Name)), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer below.Close()
	s, err := readSuperblock(below, m.Layout.Offset)
	if err != nil {
		return err
	}
	s.Log2BlocksPerBitmapBit = m.Layout.sameBitmap(s.Log2BlocksPerBitmapBit)
	if violations := s.Check(m.Layout); len(violations) > 0 {
		return fmt.Errorf("%w: %w", ErrKernelDisagrees, &RejectedError{violations})
	}
	return nil
}

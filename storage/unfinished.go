package storage

import (
	"context"
	"errors"
	"io/fs"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// CloseUnfinished removes what a process that died while it made, opened or closed
// a store left of it. A store that is whole, one at which somebody works, and mappings
// of other programs are refused with [ErrBusy]: see Status.Unfinished. What the device
// holds is neither read nor changed.
//
// A device that does not answer lets it wait until ctx ends. It needs root.
func CloseUnfinished(ctx context.Context, name string) error {
	_, err := await(ctx, silentDevice, func() (struct{}, error) {
		return struct{}{}, withControl(func(c *dm.Control) error { return closeUnfinished(ctx, c, name) })
	}, keep)
	return failure("close", name, "", err)
}

func closeUnfinished(ctx context.Context, control *dm.Control, name string) error {
	left, err := readLive(control, name)
	if err != nil {
		return err
	}
	device, err := left.unfinishedOn()
	if err != nil {
		return err
	}
	lock, err := lockDevice(device)
	if err != nil {
		return err
	}
	defer dropLock(lock)
	if left, err = readLive(control, name); err != nil { // whoever had the lock may have finished it
		return err
	}
	if again, err := left.unfinishedOn(); err != nil || again != device {
		return errors.Join(refuse(ErrBusy, "", "somebody is working on it"), err)
	}
	return left.remove(ctx, control)
}

// unfinishedOn returns the device of what may be taken away unasked: what is marked,
// is not mounted, and lies on the device that the mark names.
func (l *live) unfinishedOn() (dm.Device, error) {
	const hint = "if it is not needed, storage.Close removes it"
	if l.mark == nil {
		return dm.Device{}, refuse(ErrBusy, hint, "the store is whole, or is another program's")
	}
	if l.mounted() {
		return dm.Device{}, refuse(ErrBusy, hint, "the store is mounted")
	}
	device, err := l.markedDevice()
	if err != nil {
		return dm.Device{}, err
	}
	if below, known := l.device(); known && below != device {
		return dm.Device{}, refuse(ErrBusy, hint, "its mappings are not on device %v, as the mark of whoever made them says", device)
	}
	return device, nil
}

// describeMark says that a store is not whole, and on which device where nothing else
// does.
func (l *live) describeMark(s *Status) {
	device, err := l.unfinishedOn()
	if err != nil {
		return
	}
	s.Unfinished, s.State = true, StateIncomplete
	s.addProblem("a process is making, opening or closing it, or died while it did")
	if s.DeviceNumber == "" {
		s.describeNumber(device)
	}
}

// device returns the device below the lowest layer, as far as the kernel tells.
func (l *live) device() (dm.Device, bool) {
	var s Status
	l.describeDevice(&s)
	number, err := dm.ParseDevice(s.DeviceNumber)
	return number, err == nil
}

// mounted reports whether this mount namespace sees a mount of it.
func (l *live) mounted() bool {
	if l.crypt == nil {
		return false
	}
	mounts, err := mountinfo.GetMounts(ofDevice(l.crypt.info.Device))
	return err != nil || len(mounts) > 0
}

// lockDevice takes the lock that whoever works on a device has; nil when the device
// is gone, on which nobody works any more.
func lockDevice(number dm.Device) (*blockdev.Device, error) {
	dev, err := blockdev.Open(number.String(), blockdev.Options{ReadOnly: true})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dev.Lock(); err != nil {
		return nil, errors.Join(explainLocked(err), dev.Close())
	}
	return dev, nil
}

func dropLock(dev *blockdev.Device) {
	if dev != nil {
		_ = dev.Close() // only locked
	}
}

package storage

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// While a store is made, opened or closed its mappings are not all there. A mapping
// without a table, and so without a device, says so as long as that lasts: it is
// made before the first of them and removed when the store is whole. The kernel
// keeps it, as it keeps the mappings, whatever becomes of the process. So whoever
// comes next knows, without asking the device, what a process that died left
// behind, and that this project made it.
const (
	unfinishedSuffix = "_unfinished"
	// The number of the store's device, a dash and the store's name follow.
	unfinishedPrefix = "TRUSTED-STORE-UNFINISHED-"
)

// mark makes the one of a store on a device.
func mark(control *dm.Control, name string, device dm.Device) error {
	_, err := control.Create(name+unfinishedSuffix, unfinishedPrefix+device.String()+"-"+name)
	return err
}

// unmark removes it, if it is there.
func unmark(ctx context.Context, control *dm.Control, name string) error {
	if err := control.Remove(ctx, name+unfinishedSuffix); !errors.Is(err, dm.ErrNotFound) {
		return err
	}
	return nil
}

// readMark returns nil where there is none.
func readMark(control *dm.Control, name string) (*dm.Info, error) {
	info, err := control.Info(name + unfinishedSuffix)
	if errors.Is(err, dm.ErrNotFound) || err == nil && markedName(info) != name {
		return nil, nil
	}
	return &info, err
}

// markedName returns the name of the store that a mapping is the mark of, or "".
func markedName(mapping dm.Info) string {
	name, found := strings.CutSuffix(mapping.Name, unfinishedSuffix)
	rest, ours := strings.CutPrefix(mapping.UUID, unfinishedPrefix)
	if number, of := strings.CutSuffix(rest, "-"+name); found && ours && of {
		if _, err := dm.ParseDevice(number); err == nil {
			return name
		}
	}
	return ""
}

// markedDevice returns the device that a mark names.
func (l *live) markedDevice() (dm.Device, error) {
	number := strings.TrimSuffix(strings.TrimPrefix(l.mark.UUID, unfinishedPrefix), "-"+l.name)
	return dm.ParseDevice(number)
}

// markUnfinished comes before the first mapping.
func (a *activation) markUnfinished(context.Context) error {
	if err := withControl(func(c *dm.Control) error { return mark(c, a.name, a.dev.Number()) }); err != nil {
		return err
	}
	a.undo.Push("remove the mark of "+a.name, a.removeLastMark)
	return nil
}

// removeLastMark leaves the mark where a clean-up failed: whoever takes the rest away
// takes it too.
func (a *activation) removeLastMark(ctx context.Context) error {
	return withControl(func(c *dm.Control) error {
		left, err := readLive(c, a.name)
		if err == nil && len(left.layers()) > 0 {
			return nil
		}
		return unmark(ctx, c, a.name)
	})
}

// markWhole comes when everything is there. What is taken away after a failure is
// marked again before.
func (a *activation) markWhole(ctx context.Context) error {
	if err := a.removeMark(ctx); err != nil {
		return err
	}
	a.undo.Push("mark "+a.name, func(context.Context) error {
		return withControl(func(c *dm.Control) error { return mark(c, a.name, a.dev.Number()) })
	})
	return nil
}

func (a *activation) removeMark(ctx context.Context) error {
	return withControl(func(c *dm.Control) error { return unmark(ctx, c, a.name) })
}

func withControl(use func(*dm.Control) error) error {
	control, err := openControl()
	if err != nil {
		return err
	}
	return errors.Join(use(control), control.Close())
}

// CloseUnfinished takes away what a process that died while it made, opened or closed
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
	const hint = "if it is not needed, trusted-store close takes it away"
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

// markClosing marks a store of which several mappings are about to go, unless it is
// in use: then it may stay. ours is false when there is nothing to take back.
func (l *live) markClosing(control *dm.Control) (ours bool, err error) {
	device, known := l.device()
	if l.mark != nil || !known || len(l.layers()) < 2 {
		return false, nil
	}
	if l.crypt != nil {
		if now, err := control.Info(l.name); err != nil || now.OpenCount > 0 {
			return false, nil
		}
	}
	err = mark(control, l.name, device)
	if errors.Is(err, dm.ErrExists) { // somebody else closes it, too
		return false, nil
	}
	return err == nil, err
}

package storage

import (
	"context"
	"errors"
	"strings"

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

package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// removeGrace is how long the removal of a mapping waits for a short use of it,
// such as a probe, to end.
const removeGrace = 5 * time.Second

// Close takes a live store away: all its mounts in this mount namespace, its use as
// swap, all its mappings with their nodes, and with them the key in the kernel and
// tags in memory. It is for stores of another process; a [Store] has its own Close.
//
// nameOrDir is the store's name, its node under /dev/mapper or a directory
// where it is mounted. What a process that died left half-made is taken away as
// well, and so is what cryptsetup opened. When there is nothing the error
// is [ErrNotFound]; a caller for whom that is no failure ignores it.
//
// While a file on it is open, Close fails with [ErrBusy] after about 2 seconds
// and leaves the store as it is. What is in swap comes back to memory first, which may
// take its time; where it has no room the error is ErrBusy, too. The contents of a
// persistent store stay for the next Open; those of an ephemeral one are lost for good.
//
// It needs root.
func Close(ctx context.Context, nameOrDir string) error {
	return failure("close", nameOrDir, "", closeStore(ctx, nameOrDir, uuid.Nil))
}

// closeStore closes the store of that name; with an id only if it is the volume
// of that UUID.
func closeStore(ctx context.Context, nameOrDir string, id uuid.UUID) error {
	control, err := openControl()
	if err != nil {
		return err
	}
	defer control.Close()
	name, err := resolveName(control, nameOrDir)
	if err != nil {
		return err
	}
	store, err := readLive(control, name)
	if err != nil {
		return err
	}
	if id != uuid.Nil && !store.is(id) {
		return dm.ErrNotFound
	}
	return store.remove(ctx, control)
}

func (l *live) is(id uuid.UUID) bool {
	top := l.crypt
	if top == nil {
		top = l.integrity
	}
	if top == nil {
		top = l.data
	}
	if top == nil {
		top = l.new
	}
	return top != nil && top.volume == id
}

func (l *live) remove(ctx context.Context, control *dm.Control) error {
	if l.crypt != nil {
		if err := unmountAll(ctx, l.crypt.info); err != nil {
			return err
		}
	}
	back, err := l.swapOff(ctx)
	if err != nil {
		return err
	}
	if err := l.removeMappings(ctx, control); err != nil {
		return errors.Join(err, back())
	}
	return nil
}

// removeMappings removes what is not in use.
func (l *live) removeMappings(ctx context.Context, control *dm.Control) error {
	disk := uint64(0)
	if l.crypt != nil {
		disk = diskSequence(l.crypt.info.Device)
	}
	ctx, cancel := context.WithTimeout(ctx, removeGrace)
	defer cancel()
	if l.new != nil {
		if err := control.Remove(ctx, l.new.info.Name); err != nil && !errors.Is(err, dm.ErrNotFound) {
			return stillOpen(l.new, err)
		}
	}
	marked, err := l.markClosing(control)
	if err != nil {
		return err
	}
	for i, layer := range l.layers() {
		if err := control.Remove(ctx, layer.info.Name); err != nil && !errors.Is(err, dm.ErrNotFound) {
			if marked && i == 0 {
				err = errors.Join(err, unmark(context.WithoutCancel(ctx), control, l.name)) // as whole as it was
			}
			return stillOpen(layer, err)
		}
	}
	if err := control.RemoveStale(l.name + newSuffix); err != nil { // of a Resize that was killed
		return err
	}
	return errors.Join(unmark(ctx, control, l.name), lent.release(disk))
}

// layers returns those of the store itself that are there, the upper one first.
func (l *live) layers() []*layer {
	return slices.DeleteFunc([]*layer{l.crypt, l.integrity, l.data}, func(l *layer) bool { return l == nil })
}

func stillOpen(l *layer, err error) error {
	if !errors.Is(err, dm.ErrBusy) {
		return err
	}
	return refuse(ErrBusy, "look for another mount namespace or process that uses "+dm.Path(l.info.Name), "%w", err)
}

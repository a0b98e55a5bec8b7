package dm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Create makes a mapping without a table and returns its number. uuid may be
// empty; it cannot be changed later. When the name or the UUID is taken the
// error wraps [ErrExists].
func (c *Control) Create(name, uuid string) (Device, error) {
	device, err := c.create(name, uuid)
	return device, opError("create", name, err)
}

func (c *Control) create(name, uuid string) (Device, error) {
	if err := errors.Join(ValidName(name), validUUID(uuid)); err != nil {
		return Device{}, err
	}
	r, err := c.run(request{command: unix.DM_DEV_CREATE, name: name, uuid: uuid})
	if errors.Is(err, unix.EBUSY) {
		return Device{}, fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return Device{}, classify(err)
	}
	return fromRdev(r.header.Dev), nil
}

// LoadOptions say how a table is loaded.
type LoadOptions struct {
	ReadOnly   bool // the mapping refuses writes
	SecureData bool // the kernel wipes its copy of the table
}

// Load puts a table in the inactive slot of a mapping, in the place of one that
// is there. The kernel claims the devices below: while a mount or an exclusive
// opener has one the error wraps [ErrBusy]. Other mappings may share it; see
// [Unused].
func (c *Control) Load(name string, t Table, o LoadOptions) error {
	return opError("load", name, c.load(name, t, o))
}

func (c *Control) load(name string, t Table, o LoadOptions) error {
	if err := findable(name); err != nil {
		return err
	}
	data, err := t.encode()
	if err != nil {
		return err
	}
	q := request{command: unix.DM_TABLE_LOAD, name: name, data: data, targets: uint32(len(t)), secret: o.SecureData}
	if o.ReadOnly {
		q.flags |= unix.DM_READONLY_FLAG
	}
	if _, err = c.run(q); err != nil {
		return c.explainLoad(name, t, err)
	}
	return nil
}

// Resume makes the loaded table live and waits until [Path] can be opened, 10
// seconds at the most.
func (c *Control) Resume(name string) error { return opError("resume", name, c.resume(name, 0)) }

// Exchange puts the loaded table in the place of the live one. What is under way
// in the mapping ends first, and what comes meanwhile waits. Unlike Resume after
// Suspend it does not write out a mounted filesystem before.
func (c *Control) Exchange(name string) error {
	return opError("exchange the table of", name, c.resume(name, unix.DM_SKIP_LOCKFS_FLAG))
}

// Replace is Load and Exchange, and compares what is live then with what was meant; a
// difference wraps [ErrTableDiffers]. After any other failure the old table stays.
func (c *Control) Replace(name string, t Table, o LoadOptions) error {
	if err := c.Load(name, t, o); err != nil {
		return err
	}
	if err := c.Exchange(name); err != nil {
		return errors.Join(err, c.Clear(name))
	}
	live, err := c.Table(name)
	if err != nil {
		return err
	}
	return opError("exchange the table of", name, t.Matches(live))
}

func (c *Control) resume(name string, flags uint32) error {
	if err := findable(name); err != nil {
		return err
	}
	udev := udevRuns()
	r, err := c.run(request{command: unix.DM_DEV_SUSPEND, name: name, flags: flags, event: udev.cookie()})
	if err != nil {
		return classify(err)
	}
	return c.makeNode(name, fromRdev(r.header.Dev), udev)
}

// Suspend waits for what is under way in the mapping, writes out a mounted file
// system and holds back everything new until Resume.
func (c *Control) Suspend(name string) error {
	return opError("suspend", name, c.simple(unix.DM_DEV_SUSPEND, name, unix.DM_SUSPEND_FLAG))
}

// Clear drops the inactive table of a mapping, and with it the claim on the
// devices below.
func (c *Control) Clear(name string) error {
	return opError("clear", name, c.simple(unix.DM_TABLE_CLEAR, name, 0))
}

func (c *Control) simple(command uint, name string, flags uint32) error {
	if err := findable(name); err != nil {
		return err
	}
	_, err := c.run(request{command: command, name: name, flags: flags})
	return classify(err)
}

// Remove removes a mapping and its node. While it is open elsewhere (a mount, a
// mapping on top, a probe) Remove tries again until ctx is done; the error then
// wraps [ErrBusy] and ctx's own.
func (c *Control) Remove(ctx context.Context, name string) error {
	return opError("remove", name, c.remove(ctx, name))
}

// RemoveStale removes the node of a mapping that is gone, whose remover was killed
// before it removed that too. Where a mapping has the name it does nothing.
func (c *Control) RemoveStale(name string) error {
	err := findable(name)
	if err == nil {
		if _, err = c.info(name); errors.Is(err, ErrNotFound) {
			err = removeStale(name)
		}
	}
	return opError("remove the node of", name, err)
}

const (
	firstPause = 2 * time.Millisecond
	maxPause   = 100 * time.Millisecond
)

func (c *Control) remove(ctx context.Context, name string) error {
	if err := findable(name); err != nil {
		return err
	}
	info, err := c.info(name)
	if err != nil {
		return err
	}
	udev := udevRuns()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		_, err := c.run(request{command: unix.DM_DEV_REMOVE, name: name, event: udev.cookie()})
		if err == nil {
			return c.removeNode(name, info.Device, udev)
		}
		if !errors.Is(err, unix.EBUSY) {
			return classify(err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(classify(err), ctx.Err())
		case <-time.After(pause):
		}
	}
}

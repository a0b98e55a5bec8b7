package dm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	nodeWait  = 10 * time.Second // for udev, on a busy machine
	nodePause = 5 * time.Millisecond
)

// makeNode sees to it that Path(name) is the mapping's node. Where udev runs it
// gets time to make the node first.
func (c *Control) makeNode(name string, number Device, u udev) error {
	c.awaitUdev(u, func() bool { return nodeIs(name, number) })
	if nodeIs(name, number) {
		return nil
	}
	return placeNode(name, number)
}

// removeNode removes what is left at Path(name) of a mapping that is gone.
func (c *Control) removeNode(name string, number Device, u udev) error {
	c.awaitUdev(u, func() bool {
		_, err := os.Lstat(Path(name))
		return errors.Is(err, fs.ErrNotExist)
	})
	if info, err := os.Lstat(Path(name)); err == nil {
		if found, err := deviceOfInfo(name, info); err == nil && found != number {
			return nil // a mapping of the same name has come since
		}
	}
	return removeStale(name)
}

// awaitUdev waits a bounded time for something that udev does, if it runs.
func (c *Control) awaitUdev(u udev, done func() bool) {
	if !u {
		return
	}
	for end := time.Now().Add(c.nodeWait); !done() && time.Now().Before(end); {
		time.Sleep(nodePause)
	}
}

// nodeIs reports whether the node, or what a link there leads to, is the device.
func nodeIs(name string, number Device) bool {
	info, err := os.Stat(Path(name))
	if err != nil {
		return false
	}
	found, err := deviceOfInfo(name, info)
	return err == nil && found == number
}

func placeNode(name string, number Device) error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	if err := removeStale(name); err != nil {
		return err
	}
	if err := unix.Mknod(Path(name), unix.S_IFBLK|0o600, int(number.rdev())); err != nil {
		if errors.Is(err, fs.ErrExist) && nodeIs(name, number) {
			return nil
		}
		return fmt.Errorf("%w: make %s: %w", ErrNoNode, Path(name), err)
	}
	return nil
}

// removeStale removes a node or a link of an earlier mapping of this name.
// Anything else there was not put there by device-mapper and stays.
func removeStale(name string) error {
	info, err := os.Lstat(Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	link := info.Mode()&os.ModeSymlink != 0
	block := info.Mode()&(os.ModeDevice|os.ModeCharDevice) == os.ModeDevice
	if !link && !block {
		return fmt.Errorf("%w: %s is in the way, a block device belongs there", ErrNoNode, Path(name))
	}
	if err := os.Remove(Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: remove stale %s: %w", ErrNoNode, Path(name), err)
	}
	return nil
}

package dm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const controlNode = Dir + "/control"

// Control is an open /dev/mapper/control.
type Control struct {
	file     *os.File
	nodeWait time.Duration
}

// Open opens the kernel's device-mapper. It makes /dev/mapper/control when the
// kernel has device-mapper but no node. Without device-mapper the error wraps
// [ErrNotSupported].
func Open() (*Control, error) {
	c, err := open()
	return c, opError("open", controlNode, err)
}

func open() (*Control, error) {
	f, err := openNode()
	if err != nil {
		return nil, err
	}
	c := &Control{f, nodeWait}
	r, err := c.run(request{command: unix.DM_VERSION})
	if err == nil && r.header.Version[0] != unix.DM_VERSION_MAJOR {
		err = fmt.Errorf("%w: its interface is version %d, this program speaks %d",
			ErrNotSupported, r.header.Version[0], unix.DM_VERSION_MAJOR)
	}
	if err != nil {
		return nil, errors.Join(classify(err), f.Close())
	}
	return c, nil
}

// openNode opens the node as it is, and makes it anew from /proc/misc when it
// is missing, stale or behind a driver that is not there.
func openNode() (*os.File, error) {
	f, err := os.OpenFile(controlNode, os.O_RDWR, 0)
	if err == nil && isCharDevice(f) {
		return f, nil
	}
	if err == nil {
		_ = f.Close() // not a device: replaced below or refused there
		err = fmt.Errorf("%w: %s is not a character device", ErrNoNode, controlNode)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, classify(err)
	}
	number, found, procErr := miscNumber("device-mapper")
	if procErr != nil || !found {
		return nil, errors.Join(absent(), err, procErr)
	}
	if err := makeControl(number); err != nil {
		return nil, err
	}
	return os.OpenFile(controlNode, os.O_RDWR, 0)
}

func absent() error {
	return fmt.Errorf("%w: device-mapper is missing (CONFIG_BLK_DEV_DM, module dm-mod)", ErrNotSupported)
}

func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Close releases the control node. Mappings stay.
func (c *Control) Close() error { return opError("close", controlNode, c.file.Close()) }

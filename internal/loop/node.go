package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	controlNode  = "/dev/loop-control"
	controlMajor = 10
	controlMinor = 237
	loopMajor    = 7
	// Devices get every 2^part_shift-th minor; the shift is 0 unless the module
	// was loaded with max_part, and then /sys has the number.
)

// openControl opens the control node, and makes it where nobody else does. To
// open a node of that number makes the kernel load the module.
func openControl() (*os.File, error) {
	f, err := openOrMake(controlNode, unix.S_IFCHR, unix.Mkdev(controlMajor, controlMinor), os.O_RDWR)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return f, err
}

func openDevice(number int, readOnly bool) (*os.File, error) {
	mode := os.O_RDWR
	if readOnly {
		mode = os.O_RDONLY
	}
	path := fmt.Sprintf("/dev/loop%d", number)
	return openOrMake(path, unix.S_IFBLK, deviceNumber(number), mode)
}

func deviceNumber(number int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/dev", number))
	var major, minor uint32
	if err == nil {
		if _, err = fmt.Sscanf(string(text), "%d:%d", &major, &minor); err == nil {
			return unix.Mkdev(major, minor)
		}
	}
	return unix.Mkdev(loopMajor, uint32(number))
}

func openOrMake(path string, kind uint32, number uint64, mode int) (*os.File, error) {
	f, err := os.OpenFile(path, mode, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := unix.Mknod(path, kind|0o600, int(number)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.OpenFile(path, mode, 0)
}

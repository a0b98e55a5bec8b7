package blockdev

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// sysDir is the kernel's directory of a block device.
func sysDir(number dm.Device) string { return filepath.Join("/sys/dev/block", number.String()) }

// openNumber opens a device that the kernel has; see openNode.
func openNumber(number dm.Device, flags int) (*os.File, error) {
	if _, err := os.Stat(sysDir(number)); err != nil {
		return nil, err
	}
	return openNode(number, flags)
}

// openNode opens the node that the kernel names for a number; where that node
// is missing or stale, one in a private directory that is removed at once.
func openNode(number dm.Device, flags int) (*os.File, error) {
	if name := nodeName(number); name != "" {
		f, err := os.OpenFile(filepath.Join("/dev", name), flags, 0)
		if err == nil {
			if found, err := dm.DeviceOf(f); err == nil && found == number {
				return f, nil
			}
			_ = f.Close() // another device, opened for the question only
		} else if errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return openPrivate(number, flags)
}

// nodeName reads the name below /dev of the node, "" when /sys does not say.
func nodeName(number dm.Device) string {
	text, err := os.ReadFile(filepath.Join(sysDir(number), "uevent"))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("DEVNAME=")); ok {
			return string(name)
		}
	}
	return ""
}

func openPrivate(number dm.Device, flags int) (f *os.File, err error) {
	// Where /tmp has no devices (nodev), /dev has.
	dir, err := os.MkdirTemp("/dev", "trusted-store-node-")
	if err != nil {
		dir, err = os.MkdirTemp("", "trusted-store-node-")
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if cleanErr := os.RemoveAll(dir); cleanErr != nil && f != nil {
			err = errors.Join(err, cleanErr, f.Close())
			f = nil
		}
	}()
	node := filepath.Join(dir, number.String())
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(number.Major, number.Minor))); err != nil {
		return nil, fmt.Errorf("make a node for %v: %w", number, err)
	}
	return os.OpenFile(node, flags, 0)
}

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/loop"
)

// CreateBacking makes a sparse file of size bytes, to be attached as a block
// device. A file that exists is refused with [ErrNotBlank]; a failure leaves no
// file. This is the host's side of a volume and needs no privilege.
func CreateBacking(path string, size int64) error {
	return failure("volume create", path, "", createBacking(path, size))
}

func createBacking(path string, size int64) error {
	if size <= 0 || size%blockSize != 0 {
		return refuse(ErrInvalid, "give a size as in 2500MiB", "size of %d bytes is not a positive multiple of %d", size, blockSize)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return because(err, ErrNotBlank, "remove it, or choose another name", "the file exists")
	}
	if err != nil {
		return argument(path, err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%d bytes: %w", size, err), os.Remove(path))
	}
	return nil
}

// AttachBacking attaches the file to a free loop device and returns the
// device's path. A file that is attached already is refused with [ErrBusy]. It
// needs root.
func AttachBacking(path string) (device string, err error) {
	device, err = attachBacking(path)
	return device, failure("volume attach", path, "", err)
}

func attachBacking(path string) (string, error) {
	real, err := realPath(path)
	if err != nil {
		return "", err
	}
	if devices, err := attachedTo(real); err != nil || len(devices) > 0 {
		return "", errors.Join(err, alreadyAttached(devices))
	}
	d, err := loop.Attach(real, loop.Options{})
	if err != nil {
		return "", argument(real, err)
	}
	return d.Path(), d.Close()
}

func alreadyAttached(devices []string) error {
	if len(devices) == 0 {
		return nil
	}
	return refuse(ErrBusy, "use that device, or detach it first", "attached already to %s", devices[0])
}

// DetachBacking detaches a loop device, named by its path or by the file behind
// it. A device that is in use is refused with [ErrBusy]; the file stays. It needs
// root.
func DetachBacking(deviceOrFile string) error {
	return failure("volume detach", deviceOrFile, "", detachBacking(deviceOrFile))
}

func detachBacking(deviceOrFile string) error {
	real, err := realPath(deviceOrFile)
	if err != nil {
		return err
	}
	devices := []string{real}
	if info, err := os.Stat(real); err == nil && info.Mode().IsRegular() {
		if devices, err = attachedTo(real); err != nil {
			return err
		}
		if len(devices) == 0 {
			return refuse(ErrNotFound, "", "attached to no loop device")
		}
	}
	var errs []error
	for _, device := range devices {
		errs = append(errs, detachDevice(device))
	}
	return errors.Join(errs...)
}

// detachDevice holds the device exclusively for a moment, since the kernel would
// only detach a device in use later.
func detachDevice(device string) error {
	if _, err := loop.BackingFile(device); err != nil {
		return because(err, ErrInvalid, "name a loop device with a file, or the file", "no loop device that has a file")
	}
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return explainInUse(device, err)
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return loop.Detach(device)
}

func explainInUse(device string, err error) error {
	hint := "stop the program that has it open"
	if d, openErr := blockdev.Open(device, blockdev.Options{ReadOnly: true}); openErr == nil {
		users, freeing := usersOf(d.Number())
		if err := d.Close(); err == nil && len(users) > 0 {
			return because(err, ErrBusy, freeing, "%s is in use by %s", device, strings.Join(users, ", "))
		}
	}
	return because(err, ErrBusy, hint, "%s is in use", device)
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	return real, argument(abs, err)
}

func attachedTo(file string) ([]string, error) {
	all, err := loop.List()
	if err != nil {
		return nil, err
	}
	var devices []string
	for _, d := range all {
		if d.Backing == file {
			devices = append(devices, d.Path)
		}
	}
	return devices, nil
}

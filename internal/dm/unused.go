package dm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Reopen opens the device that f is open on once more, with other flags. It goes
// through the descriptor, since the name may lead elsewhere by now. With O_EXCL
// the error wraps [ErrBusy] while a mount, a mapping or another exclusive opener
// uses the device.
func Reopen(f *os.File, flags int) (*os.File, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, opError("reopen", f.Name(), classify(err))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Unused checks that nobody uses the block device that f is open on; else the
// error wraps [ErrBusy]. Load alone does not check: device-mapper claims devices
// as a whole, so the kernel lets any number of mappings share one. f itself must
// not be open exclusively.
func Unused(f *os.File) error {
	again, err := Reopen(f, os.O_RDONLY|os.O_EXCL)
	if err != nil {
		return err
	}
	return opError("close", f.Name(), again.Close())
}

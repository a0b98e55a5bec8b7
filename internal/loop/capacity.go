package loop

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SetCapacity gives the loop device at path the size that its file has now, as
// `losetup -c` does (LOOP_SET_CAPACITY, drivers/block/loop.c). It may be in use.
func SetCapacity(path string) error { return opError("set the capacity of", path, setCapacity(path)) }

func setCapacity(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	err = unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_CAPACITY, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOTTY) {
		err = fmt.Errorf("%w: %w", ErrNotAttached, err)
	}
	return errors.Join(err, f.Close())
}

package loop

import (
	"errors"
	"fmt"
)

// The sentinels a caller decides by. They are wrapped in an [*OpError].
var (
	// ErrNotSupported: the kernel has no loop devices.
	ErrNotSupported = errors.New("kernel has no loop devices (CONFIG_BLK_DEV_LOOP, module loop)")
	// ErrNotAttached: the device exists without a file, or does not exist.
	ErrNotAttached = errors.New("no file is attached")
	// ErrBusy: other programs took every device that was free.
	ErrBusy = errors.New("no free loop device")
)

// OpError is the error of every operation of this package.
type OpError struct {
	Op   string // "attach", "detach", …
	Name string // the file or the device
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("loop: %s %s: %v", e.Op, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: op, Name: name, Err: err}
}

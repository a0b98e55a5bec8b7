package integrity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// The sentinels a caller decides by.
var (
	// ErrSuperblockRejected: the superblock is not the one that this device must
	// have. The error is a [*RejectedError].
	ErrSuperblockRejected = errors.New("integrity superblock rejected")
	// ErrTooSmall: no block of data would fit.
	ErrTooSmall = errors.New("device too small for the integrity layer")
	// ErrSizeChanged: the device has not the size that the layout is for.
	ErrSizeChanged = errors.New("device size does not fit the layout")
	// ErrKernelDisagrees: the kernel made something else of the device than was
	// asked for. It was removed again.
	ErrKernelDisagrees = errors.New("the kernel's integrity mapping is not the one asked for")
	// ErrShrunk: the device is smaller than its superblock needs. The error is a
	// [*ShrunkError].
	ErrShrunk = errors.New("device shrank")
	// ErrInvalid: an argument that no device could satisfy.
	ErrInvalid = errors.New("invalid argument")

	// ErrNotFound: no mapping has this name.
	ErrNotFound = dm.ErrNotFound
	// ErrExists: the mapping's name or UUID is taken.
	ErrExists = dm.ErrExists
	// ErrBusy: the device, or the mapping to remove, is in use.
	ErrBusy = dm.ErrBusy
	// ErrNotSupported: the kernel lacks dm-integrity, device-mapper or loop devices.
	ErrNotSupported = dm.ErrNotSupported
	// ErrNoMemory: the kernel has no memory for the journal.
	ErrNoMemory = dm.ErrNoMemory
)

// RejectedError lists every violation of a superblock. It is an
// [ErrSuperblockRejected].
type RejectedError struct {
	Violations []Violation // never empty
}

// Error names all violations.
func (e *RejectedError) Error() string {
	details := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		details[i] = v.String()
	}
	return ErrSuperblockRejected.Error() + ": " + strings.Join(details, "; ")
}

// Is reports whether target is ErrSuperblockRejected.
func (e *RejectedError) Is(target error) bool { return target == ErrSuperblockRejected }

// OpError is the error of what this package does on a device.
type OpError struct {
	Op   string // "format", "activate", "deactivate", "read"
	Name string // the mapping, or the device
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("integrity: %s %s: %v", e.Op, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: op, Name: name, Err: err}
}

package dm

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// The sentinels a caller decides by. They are wrapped in an [*OpError].
var (
	// ErrNotFound: no device-mapper device has this name.
	ErrNotFound = errors.New("no such mapping")
	// ErrExists: the name, or the UUID, belongs to another mapping.
	ErrExists = errors.New("name or uuid of a mapping is taken")
	// ErrBusy: the mapping, or a device below it, is in use.
	ErrBusy = errors.New("device is in use")
	// ErrNotSupported: the running kernel lacks device-mapper, a target or a
	// cipher; the message names it.
	ErrNotSupported = errors.New("not supported by this kernel")
	// ErrInvalidTable: the kernel refused the table; its log says why.
	ErrInvalidTable = errors.New("table refused by the kernel")
	// ErrNoMemory: the kernel has too little memory for this table.
	ErrNoMemory = errors.New("not enough kernel memory")
	// ErrInvalidName: a name or UUID that this package does not accept.
	ErrInvalidName = errors.New("invalid mapping name")
	// ErrTableDiffers: a live table is not the one that was loaded.
	ErrTableDiffers = errors.New("live table differs from what was loaded")
	// ErrNoNode: /dev/mapper/<name> did not appear or is in the way.
	ErrNoNode = errors.New("device node not usable")
)

// OpError is the error of every operation of this package.
type OpError struct {
	Op   string // "create", "load", "resume", …
	Name string // the mapping, or what else was acted on
	Err  error
}

func (e *OpError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("device-mapper: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("device-mapper: %s %s: %v", e.Op, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: op, Name: name, Err: err}
}

// classify puts the sentinel that an errno stands for in every command before
// it. Commands with meanings of their own do so before they call this.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%w: %w", ErrNoMemory, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (device-mapper needs root)", err)
	}
	return err
}

package cryptsetup

import (
	"errors"
	"fmt"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Errors of [Activate] and [Deactivate] that a caller decides on.
var (
	// ErrMapping: a Mapping that no volume can have.
	ErrMapping = errors.New("invalid mapping")
	// ErrNotActive: no mapping has this name.
	ErrNotActive = dm.ErrNotFound
	// ErrActive: the mapping's name or UUID is taken.
	ErrActive = dm.ErrExists
	// ErrBusy: the device below, or the mapping to remove, is in use.
	ErrBusy = dm.ErrBusy
	// ErrNotSupported: the kernel lacks device-mapper, dm-crypt, a cipher or
	// keys; the message names it.
	ErrNotSupported = dm.ErrNotSupported
	// ErrTableDiffers: the kernel's live table was not the one loaded. The
	// mapping was removed again.
	ErrTableDiffers = dm.ErrTableDiffers
)

// ActivationError says which mapping could not be activated or deactivated.
type ActivationError struct {
	Op   string // "activate", "deactivate"
	Name string // the mapping
	Err  error
}

// Error names the step, the mapping and the cause.
func (e *ActivationError) Error() string {
	return fmt.Sprintf("cryptsetup: %s %s: %v", e.Op, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *ActivationError) Unwrap() error { return e.Err }

func activationError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &ActivationError{Op: op, Name: name, Err: err}
}

package mkfs

import (
	"errors"
	"fmt"
)

var (
	// ErrTooSmall reports a filesystem size that cannot hold its own metadata and a little more. The error is a
	// *SizeError and names the smallest size that the same options accept.
	ErrTooSmall = errors.New("too small for a filesystem")

	// ErrTooLarge reports a filesystem size above MaxSize, or an Options.Size above the size of the device. The
	// error is a *SizeError and names the limit.
	ErrTooLarge = errors.New("too large")

	// ErrBadOption reports a value in Options that ext4, or this package, cannot do. The error is an *OptionError
	// and names the field.
	ErrBadOption = errors.New("bad option")
)

// SizeError says which size was asked for, and the limit that it missed, both in bytes.
type SizeError struct {
	Size  uint64 // what was asked for
	Limit uint64 // the smallest (ErrTooSmall) or the largest (ErrTooLarge) size that would do
	Err   error  // ErrTooSmall or ErrTooLarge
}

// Error names both sizes.
func (e *SizeError) Error() string {
	if errors.Is(e.Err, ErrTooLarge) {
		return fmt.Sprintf("mkfs: %d bytes are %v: at most %d", e.Size, e.Err, e.Limit)
	}
	return fmt.Sprintf("mkfs: %d bytes are %v with these options: at least %d", e.Size, e.Err, e.Limit)
}

// Unwrap returns the sentinel.
func (e *SizeError) Unwrap() error { return e.Err }

// OptionError says which field of Options was refused, and what it may be.
type OptionError struct {
	Field string // name in Options
	Value any    // as given
	Want  string // what would be accepted
}

// Error names the field, its value and what would be accepted.
func (e *OptionError) Error() string {
	return fmt.Sprintf("mkfs: %v %s=%v: want %s", ErrBadOption, e.Field, e.Value, e.Want)
}

// Unwrap returns ErrBadOption.
func (e *OptionError) Unwrap() error { return ErrBadOption }

// OpError is what Format returns when the device, or the context, stopped it. The device then holds part of a
// filesystem but no superblock in its first block.
type OpError struct {
	Op     string // "write"
	Offset int64  // bytes from the start of the device
	Length int    // bytes
	Err    error  // from the device or the context
}

// Error names the place and the reason.
func (e *OpError) Error() string {
	return fmt.Sprintf("mkfs: %s %d bytes at %d: %v", e.Op, e.Length, e.Offset, e.Err)
}

// Unwrap returns the device's or the context's error.
func (e *OpError) Unwrap() error { return e.Err }

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/mkfs"
)

// What a caller can decide on. Every error of this package that has one of
// these causes matches it with [errors.Is].
var (
	// ErrInvalid: an argument is not acceptable. Nothing was touched.
	ErrInvalid = errors.New("invalid argument")
	// ErrPermission: the process lacks a privilege; root has them all.
	ErrPermission = errors.New("permission denied")
	// ErrHeaderRejected: the device holds no header, or one outside the
	// profile, or such an integrity superblock. Nothing was touched.
	ErrHeaderRejected = errors.New("header rejected")
	// ErrWrongKey: no key slot opens with the key. Nothing was touched.
	ErrWrongKey = errors.New("wrong key")
	// ErrIntegrity: a block of the device is not what was written there, or
	// the device changed while it was being opened.
	ErrIntegrity = errors.New("integrity error")
	// ErrBusy: the device is in use, or the name is taken.
	ErrBusy = errors.New("busy")
	// ErrNotBlank: the device holds something with a known signature.
	ErrNotBlank = errors.New("not blank")
	// ErrUnsuitable: the device is too small, read-only or of a wrong size.
	ErrUnsuitable = errors.New("device unsuitable")
	// ErrNotSupported: the kernel lacks a feature that is needed, or memory
	// for it.
	ErrNotSupported = errors.New("not supported by this kernel")
	// ErrNotFound: there is no live store of that name or at that directory.
	ErrNotFound = errors.New("no such store")
)

// Error is what every function of this package returns on failure.
type Error struct {
	Op   string // "create", "open", "close", "status"
	What string // the device, name or directory that it was about
	Step string // what was being done, as in "format integrity layer"; may be empty
	Kind error  // one of the Err values of this package; nil: none of them
	Hint string // what to do about it; may be empty
	Err  error  // the cause
}

// Error says to what, during which step and why it failed. A refusal of this
// package's own explains itself, without the step.
func (e *Error) Error() string {
	var parts []string
	if e.What != "" {
		parts = append(parts, e.What)
	}
	if refusal := new(reasonError); e.Step != "" && !errors.As(e.Err, &refusal) {
		parts = append(parts, e.Step)
	}
	return strings.Join(append(parts, e.cause().Error()), ": ")
}

// cause is the part of Err that says why. What a kernel lacks is the same
// whichever layer found it out.
func (e *Error) cause() error {
	var op *dm.OpError
	if errors.Is(e.Err, dm.ErrNotSupported) && errors.As(e.Err, &op) {
		return op.Err
	}
	if errors.Is(e.Err, loop.ErrNotSupported) {
		return loop.ErrNotSupported
	}
	return withoutName(e.Err, e.What)
}

// withoutName takes the outer layers off an error that do no more than name
// again what it is about.
func withoutName(err error, name string) error {
	for {
		// This very layer is meant, hence no errors.As.
		switch layer := any(err).(type) {
		case *fs.PathError:
			if layer.Path != name {
				return err
			}
			err = layer.Err
		case *blockdev.OpError:
			if layer.Name != name {
				return err
			}
			err = layer.Err
		case *loop.OpError:
			if layer.Name != name {
				return err
			}
			err = layer.Err
		default:
			return err
		}
	}
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// failure makes an Error of err, unless it is one already, and finds its kind.
func failure(op, what, step string, err error) error {
	if err == nil {
		return nil
	}
	var reason *reasonError
	e := &Error{Op: op, What: what, Step: step, Kind: kindOf(err), Err: err}
	switch {
	case errors.As(err, &reason):
		e.Hint = reason.hint
	case errors.Is(err, dm.ErrNotSupported), errors.Is(err, loop.ErrNotSupported):
		e.Hint = "load the module, or use a kernel that has it"
	}
	return e
}

// kinds maps the sentinels of the packages below to ours, the first match
// wins.
var kinds = []struct{ below, kind error }{
	{cryptsetup.ErrHeaderRejected, ErrHeaderRejected},
	{integrity.ErrSuperblockRejected, ErrHeaderRejected},
	{cryptsetup.ErrWrongKey, ErrWrongKey},
	{integrity.ErrSizeChanged, ErrIntegrity},
	{integrity.ErrKernelDisagrees, ErrIntegrity},
	{integrity.ErrTooSmall, ErrUnsuitable},
	{mkfs.ErrTooSmall, ErrUnsuitable},
	{mkfs.ErrTooLarge, ErrUnsuitable},
	{mkfs.ErrBadOption, ErrInvalid},
	{blockdev.ErrNotBlockDevice, ErrInvalid},
	{blockdev.ErrBusy, ErrBusy},
	{dm.ErrBusy, ErrBusy},
	{dm.ErrExists, ErrBusy},
	{dm.ErrNotSupported, ErrNotSupported},
	{loop.ErrNotSupported, ErrNotSupported},
	{dm.ErrNotFound, ErrNotFound},
	{unix.EBUSY, ErrBusy},
	{unix.EROFS, ErrUnsuitable},
	{unix.EILSEQ, ErrIntegrity},
	{unix.ENOMEM, ErrNotSupported},
	{unix.ENODEV, ErrNotSupported},
	{fs.ErrPermission, ErrPermission},
}

func kindOf(err error) error {
	var reason *reasonError
	if errors.As(err, &reason) {
		return reason.kind
	}
	for _, k := range kinds {
		if errors.Is(err, k.below) {
			return k.kind
		}
	}
	return nil
}

// reasonError is a refusal of this package's own, with its kind and hint.
type reasonError struct {
	kind error
	hint string
	text string
	err  error
}

func (r *reasonError) Error() string { return r.text }
func (r *reasonError) Unwrap() error { return r.err }

// argument makes ErrInvalid of what the kernel says of a name that the caller gave,
// before anything is touched.
func argument(name string, err error) error {
	for _, wrong := range []error{fs.ErrNotExist, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.ENAMETOOLONG} {
		if errors.Is(err, wrong) {
			return because(err, ErrInvalid, "", "%v", withoutName(err, name))
		}
	}
	return withoutName(err, name)
}

func refuse(kind error, hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &reasonError{kind: kind, hint: hint, text: err.Error(), err: errors.Unwrap(err)}
}

// because is refuse with a cause that the text replaces.
func because(cause, kind error, hint, format string, args ...any) error {
	return &reasonError{kind: kind, hint: hint, text: fmt.Sprintf(format, args...), err: cause}
}

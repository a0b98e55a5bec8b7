package guestpull

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

// What a caller can decide on, beside the errors of package storage. Every error
// of this package is a [storage.Error] and matches its cause with [errors.Is].
var (
	// ErrRejected: something of the image is not what its digest says, or is
	// what no image may hold.
	ErrRejected = errors.New("image rejected")
	// ErrNoRoom: the image does not fit on the store.
	ErrNoRoom = errors.New("no room on the store")
	// ErrNoSuchImage: the registry has no such image, or not for the platform;
	// or there is none such on the store.
	ErrNoSuchImage = errors.New("no such image")
	// ErrUnauthorized: the registry wants other credentials, or those that it is to
	// be sent cannot be had.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrBlocked: the configuration does not allow this image, or this registry.
	ErrBlocked = errors.New("blocked")
	// ErrUndecryptable: a layer is encrypted, and not with a key that this guest has.
	ErrUndecryptable = errors.New("layer cannot be decrypted")
	// ErrRegistry: the registry cannot be reached, fails, stalls or broke off.
	ErrRegistry = errors.New("registry failed")
)

// refusal explains itself, with its kind and hint.
type refusal struct {
	kind error
	hint string
	err  error
}

func (r *refusal) Error() string   { return r.err.Error() }
func (r *refusal) Unwrap() []error { return []error{r.kind, r.err} }

func refuse(kind error, hint, format string, args ...any) error {
	return &refusal{kind, hint, fmt.Errorf(format, args...)}
}

// failure makes a storage.Error of err, unless it is one already.
func failure(op, what, step string, err error) error {
	if already := new(storage.Error); err == nil || errors.As(err, &already) {
		return err
	}
	e := &storage.Error{Op: op, What: fit(what), Step: step, Kind: kindOf(err), Err: printable(err)}
	if own := new(refusal); errors.As(err, &own) {
		e.Hint = own.hint
	}
	if e.Hint == "" {
		e.Hint = hints[e.Kind]
	}
	return e
}

var hints = map[error]string{
	ErrNoRoom:       "give the store a larger device, or remove images from it",
	ErrUnauthorized: "name a docker config with credentials for the registry",
	ErrNoSuchImage:  "check the name, and that the registry has it for this platform",
}

// ours are kinds that something below chose already.
var ours = []error{ErrBlocked, ErrUndecryptable, ErrRejected, ErrNoRoom, ErrNoSuchImage, ErrUnauthorized, ErrRegistry,
	storage.ErrInvalid, storage.ErrPermission, storage.ErrBusy, storage.ErrNotSupported}

// kinds maps what the packages below return to ours, the first match wins.
var kinds = []struct{ below, kind error }{
	{unix.ENOSPC, ErrNoRoom},
	{unix.EDQUOT, ErrNoRoom},
	{unix.EILSEQ, storage.ErrIntegrity},
	{unix.EBUSY, storage.ErrBusy},
	{unix.ENODEV, storage.ErrNotSupported},
	{unix.ENOMEM, storage.ErrNotSupported},
	{fs.ErrPermission, storage.ErrPermission},
	{unix.ENOTDIR, storage.ErrInvalid},
	{unix.EROFS, storage.ErrUnsuitable},
}

func kindOf(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	for _, kind := range ours {
		if errors.Is(err, kind) {
			return kind
		}
	}
	for _, k := range kinds {
		if errors.Is(err, k.below) {
			return k.kind
		}
	}
	return nil
}

// faultOfLayer makes err, which ended the unpacking of a layer, the layer's
// fault unless it is known to be somebody else's.
func faultOfLayer(err error) error {
	if kind := kindOf(err); errors.Is(err, context.Canceled) || kind != nil {
		return err
	}
	for _, host := range []error{unix.EIO, unix.EMFILE, unix.ENFILE, unix.EUCLEAN} {
		if errors.Is(err, host) {
			return err
		}
	}
	if errors.Is(err, tar.ErrHeader) {
		return refuse(ErrRejected, "", "it is no tar archive: %w", err)
	}
	return refuse(ErrRejected, "", "%w", err)
}

// faultOfEntry says which entry of a layer it was that failed. What the kernel
// refuses for what the entry is, is the layer's fault.
func faultOfEntry(h *tar.Header, err error) error {
	if own := new(refusal); errors.As(err, &own) {
		return err
	}
	err = fmt.Errorf("its entry %s: %w", quote(h.Name), err)
	for _, fault := range []error{unix.ENOENT, unix.EEXIST, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.ENAMETOOLONG,
		unix.EINVAL, unix.EMLINK, unix.E2BIG, unix.ERANGE} {
		if errors.Is(err, fault) {
			return refuse(ErrRejected, "", "%w", err)
		}
	}
	return err
}

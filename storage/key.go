package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// MaxKeySize is the most bytes that a key may have, 8 MiB: cryptsetup's limit
// for a key file.
const MaxKeySize = 8 << 20

// Key is what unlocks a persistent volume: 1 byte to 8 MiB, taken exactly as
// they are. It lives in locked memory, prints as [redacted], and belongs to the
// caller, who calls [Key.Wipe].
type Key struct{ bytes *secret.Bytes }

// NewKey takes over b: it is copied into locked memory and wiped.
func NewKey(b []byte) (*Key, error) {
	s, err := secret.Move(b)
	return newKey(s, err)
}

// ReadKey reads a key from r to its end. A newline at the end is part of it.
func ReadKey(r io.Reader) (*Key, error) {
	s, err := secret.ReadAll(r, MaxKeySize)
	return newKey(s, err)
}

func newKey(s *secret.Bytes, err error) (*Key, error) {
	switch {
	case errors.Is(err, secret.ErrTooLong):
		return nil, keyFailure(refuse(ErrInvalid, "a key has 1 byte to 8 MiB", "longer than %d bytes (8 MiB)", MaxKeySize))
	case err != nil:
		return nil, keyFailure(refuse(ErrInvalid, "", "%w", err))
	case s.Len() == 0:
		s.Wipe()
		return nil, keyFailure(refuse(ErrInvalid, "a key has 1 byte to 8 MiB", "empty, it has no bytes"))
	}
	return &Key{s}, nil
}

func keyFailure(err error) error { return failure("read key", "key", "", err) }

// Wipe overwrites the key. It may be called more than once, and on nil.
func (k *Key) Wipe() {
	if k != nil {
		k.bytes.Wipe()
	}
}

// String returns "[redacted]".
func (k Key) String() string { return k.bytes.String() }

// Format prints "[redacted]" for every verb.
func (k Key) Format(f fmt.State, verb rune) { k.bytes.Format(f, verb) }

// MarshalText returns "[redacted]", for JSON too.
func (k Key) MarshalText() ([]byte, error) { return k.bytes.MarshalText() }

// LogValue returns "[redacted]".
func (k Key) LogValue() slog.Value { return k.bytes.LogValue() }

// KeySource says where a key is read from; the key itself is never part of it.
type KeySource struct {
	path string
	fd   int
	kind keySourceKind
}

type keySourceKind uint8

const (
	keyFromFile keySourceKind = iota + 1
	keyFromDescriptor
	keyFromStdin
)

// ParseKeySource parses "file:PATH", "fd:N" (an open descriptor of this
// process) or "-" (standard input).
func ParseKeySource(source string) (KeySource, error) {
	const hint = "a key source is file:PATH, fd:N or - (standard input); never the key itself"
	if source == "-" {
		return KeySource{kind: keyFromStdin}, nil
	}
	if path, ok := strings.CutPrefix(source, "file:"); ok && path != "" {
		return KeySource{kind: keyFromFile, path: path}, nil
	}
	if number, ok := strings.CutPrefix(source, "fd:"); ok {
		if fd, err := strconv.ParseUint(number, 10, 31); err == nil {
			return KeySource{kind: keyFromDescriptor, fd: int(fd)}, nil
		}
	}
	// The text is not repeated: somebody may have given the key itself.
	return KeySource{}, keyFailure(refuse(ErrInvalid, hint, "its source has no known form"))
}

// Load reads the key, until ctx ends: a pipe may be kept open for good. It warns in
// log when others than its owner can read the key's file. log may be nil.
//
// A file is a regular one or a pipe. Devices are refused, and so are files below
// /proc, /sys and the like, of which the kernel makes up the contents.
func (s KeySource) Load(ctx context.Context, log *slog.Logger) (*Key, error) {
	key, err := await(ctx, "no key so far", func() (*Key, error) { return s.load(log) }, (*Key).Wipe)
	if failed := new(Error); err != nil && !errors.As(err, &failed) {
		err = keyFailure(err)
	}
	return key, err
}

func (s KeySource) load(log *slog.Logger) (*Key, error) {
	switch s.kind {
	case keyFromStdin:
		return ReadKey(os.Stdin)
	case keyFromDescriptor:
		return readDescriptor(s.fd)
	case keyFromFile:
		return readKeyFile(s.path, log)
	}
	return nil, refuse(ErrInvalid, "", "no source")
}

// readDescriptor reads a duplicate, so that the caller's descriptor stays open.
func readDescriptor(fd int) (*Key, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, refuse(ErrInvalid, "", "descriptor %d: %w", fd, err)
	}
	f := os.NewFile(uintptr(own), "fd:"+strconv.Itoa(fd))
	defer f.Close()
	return ReadKey(f)
}

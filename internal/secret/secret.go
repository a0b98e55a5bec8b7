// Package secret holds key bytes: in memory of their own that is locked
// against swapping, left out of core dumps, printed by nothing and wiped at the
// end.
//
// A [Bytes] has one owner, who calls [Bytes.Wipe]. The slice that
// [Bytes.Bytes] returns is a view of the locked memory: it must not be kept
// after the wipe, converted to a string or appended to.
//
// Locking counts against RLIMIT_MEMLOCK, unless the process has CAP_IPC_LOCK.
// Sources: mlock(2), madvise(2) MADV_DONTDUMP.
package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrTooLong is returned when a source holds more bytes than a key may have.
var ErrTooLong = errors.New("key too long")

const redacted = "[redacted]"

// Bytes is a run of secret bytes in locked memory. It prints as [redacted] in
// every format. It is not safe for concurrent use with Wipe.
//
// Of a struct that holds one in an unexported field package fmt would print the
// contents, since it calls no methods there. It does not follow this pointer.
type Bytes struct {
	at unsafe.Pointer // the mapping; nil when empty or wiped
	n  int
}

func (b *Bytes) mem() []byte { return unsafe.Slice((*byte)(b.at), b.n) }

// New returns n zero bytes of locked memory.
func New(n int) (*Bytes, error) {
	if n < 0 {
		return nil, fmt.Errorf("secret: negative length %d", n)
	}
	if n == 0 {
		return &Bytes{}, nil
	}
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("secret: map %d bytes: %w", n, err)
	}
	if err := protect(mem); err != nil {
		return nil, errors.Join(err, unix.Munmap(mem))
	}
	return &Bytes{at: unsafe.Pointer(unsafe.SliceData(mem)), n: n}, nil
}

func protect(mem []byte) error {
	if err := unix.Mlock(mem); err != nil {
		return fmt.Errorf("secret: lock %d bytes (see ulimit -l): %w", len(mem), err)
	}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("secret: keep out of core dumps: %w", err)
	}
	return nil
}

// Random returns n bytes from the kernel's random number generator.
func Random(n int) (*Bytes, error) {
	b, err := New(n)
	if err != nil {
		return nil, err
	}
	Do(func() { _, err = rand.Read(b.Bytes()) })
	if err != nil {
		b.Wipe()
		return nil, fmt.Errorf("secret: random bytes: %w", err)
	}
	return b, nil
}

// Move copies b into locked memory and wipes b, also when it fails.
func Move(b []byte) (*Bytes, error) {
	defer Zero(b)
	s, err := New(len(b))
	if err != nil {
		return nil, err
	}
	Do(func() { copy(s.Bytes(), b) })
	return s, nil
}

// ReadAll reads r to its end, straight into locked memory. It fails with
// [ErrTooLong] when r holds more than limit bytes.
func ReadAll(r io.Reader, limit int) (b *Bytes, err error) {
	Do(func() { b, err = readAll(r, limit) })
	return b, err
}

func readAll(r io.Reader, limit int) (*Bytes, error) {
	b, err := New(min(limit, 4096))
	if err != nil {
		return nil, err
	}
	for n := 0; ; {
		if n == b.n {
			if b, err = b.grow(limit); err != nil {
				return nil, err
			}
		}
		got, err := r.Read(b.mem()[n:])
		n += got
		switch {
		case errors.Is(err, io.EOF):
			return b.shrink(n)
		case err != nil:
			b.Wipe()
			return nil, err
		case n > limit:
			b.Wipe()
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
		}
	}
}

// grow moves b into twice the memory, one byte above limit at the most, so
// that the next read can tell a source of limit bytes from a longer one.
func (b *Bytes) grow(limit int) (*Bytes, error) {
	defer b.Wipe()
	if b.n > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	}
	larger, err := New(min(2*b.n, limit) + 1)
	if err != nil {
		return nil, err
	}
	copy(larger.mem(), b.mem())
	return larger, nil
}

func (b *Bytes) shrink(n int) (*Bytes, error) {
	defer b.Wipe()
	exact, err := New(n)
	if err != nil {
		return nil, err
	}
	copy(exact.Bytes(), b.mem()[:n])
	return exact, nil
}

// Bytes returns the secret itself. The slice is valid until Wipe.
func (b *Bytes) Bytes() []byte {
	if b == nil || b.at == nil {
		return nil
	}
	return b.mem()
}

// Len returns the number of secret bytes, 0 after Wipe.
func (b *Bytes) Len() int { return len(b.Bytes()) }

// Wipe overwrites the bytes with zeros and gives the memory back. It may be
// called more than once, and on nil.
func (b *Bytes) Wipe() {
	if b == nil || b.at == nil {
		return
	}
	Zero(b.mem())
	// The mapping came from New and is unmapped once: this cannot fail, and
	// if it did the bytes are gone already.
	_ = unix.Munmap(b.mem())
	b.at, b.n = nil, 0
}

// Zero overwrites b with zeros.
//
//go:noinline
func Zero(b []byte) { clear(b) }

// String returns "[redacted]".
func (b *Bytes) String() string { return redacted }

// Format prints "[redacted]" for every verb.
func (b *Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]", for JSON too.
func (b *Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (b *Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

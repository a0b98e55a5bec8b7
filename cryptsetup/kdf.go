package cryptsetup

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// KDF turns a passphrase into the key of a key slot's area: [PBKDF2] or
// [Argon2id].
type KDF interface {
	fmt.Stringer
	// derive returns areaKeySize secret bytes, or ctx's error when that ends first. It
	// leaves more of the passphrase and of them than it can wipe: call it in secret.Do.
	derive(ctx context.Context, passphrase, salt []byte) ([]byte, error)
	// check returns an ErrKDFBounds when p does not allow these parameters.
	check(p Profile) error
	encode(e *encoder, salt []byte)
}

// PBKDF2 is PBKDF2 with HMAC-SHA256.
type PBKDF2 struct {
	// Iterations is 1,000 to 10,000,000.
	Iterations uint32
}

// Argon2id is the memory-hard function of RFC 9106.
type Argon2id struct {
	// Time is the number of passes, 1 to 16.
	Time uint32
	// MemoryKiB is 32 to 65,536 (64 MiB) unless the profile allows more.
	MemoryKiB uint32
	// Threads is 1 to 4.
	Threads uint8
}

// randomKeySize is the length in bytes from which a key may be a random one.
const randomKeySize = 32

// RandomKeyKDF is for keys of 32 or more random bytes: PBKDF2 with 1,000
// iterations, under a millisecond. A cost that slows guessing down buys nothing
// where there is nothing to guess.
func RandomKeyKDF() KDF { return PBKDF2{Iterations: minIterations} }

// PassphraseKDF is for what a person remembers: argon2id with 64 MiB, 4 passes
// and as many threads as there are CPUs, up to 4; some tenths of a second.
func PassphraseKDF() KDF {
	return Argon2id{Time: 4, MemoryKiB: DefaultMaxArgon2Memory / 1024, Threads: uint8(min(maxThreads, runtime.NumCPU()))}
}

// KDFFor gives [RandomKeyKDF] to a key of 32 bytes or more that is not text, and
// [PassphraseKDF] to every other. Text is UTF-8 without control characters, but for
// tabs and the ends of lines: a sentence is some, and so are hexadecimal digits and
// base64, of which nobody can tell how they were chosen. Of random keys of 32 bytes
// one in 30 billion is.
func KDFFor(passphrase []byte) KDF {
	if len(passphrase) >= randomKeySize && !isText(passphrase) {
		return RandomKeyKDF()
	}
	return PassphraseKDF()
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r)
	})
}

// String returns the function and its cost.
func (k PBKDF2) String() string { return fmt.Sprintf("pbkdf2 sha256, %d iterations", k.Iterations) }

func (k PBKDF2) derive(ctx context.Context, passphrase, salt []byte) ([]byte, error) {
	return pbkdf2SHA256(ctx, passphrase, salt, int(k.Iterations), areaKeySize)
}

func (k PBKDF2) check(Profile) error {
	return checkLimit(iterationsLimit, uint64(k.Iterations))
}

func (k PBKDF2) encode(e *encoder, salt []byte) {
	e.text("type", "pbkdf2")
	e.text("hash", "sha256")
	e.number("iterations", uint64(k.Iterations))
	e.base64("salt", salt)
}

// MarshalJSON writes the parameters under the function's name.
func (k PBKDF2) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"type":"pbkdf2","hash":"sha256","iterations":%d}`, k.Iterations), nil
}

// String returns the function and its cost.
func (k Argon2id) String() string {
	return fmt.Sprintf("argon2id, passes: %d, memory: %d KiB, threads: %d", k.Time, k.MemoryKiB, k.Threads)
}

// MarshalJSON writes the parameters under the function's name.
func (k Argon2id) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"type":"argon2id","time":%d,"memory_kib":%d,"threads":%d}`, k.Time, k.MemoryKiB, k.Threads), nil
}

// argon2Turn is for one derivation of the process at a time: each takes memory by the
// megabyte, and all CPUs that it may. Who has put something in has the turn.
var argon2Turn = make(chan struct{}, 1)

// derive cannot be interrupted once argon2 has begun. What it leaves, the memory and
// what it kept of the passphrase, is collected at once, before the next one begins.
func (k Argon2id) derive(ctx context.Context, passphrase, salt []byte) ([]byte, error) {
	select {
	case argon2Turn <- struct{}{}:
		defer func() { <-argon2Turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	defer runtime.GC()
	return argon2.IDKey(passphrase, salt, k.Time, k.MemoryKiB, k.Threads, areaKeySize), nil
}

func (k Argon2id) check(p Profile) error {
	time, memory, cpus := p.argon2Limits()
	for _, c := range []struct {
		limit limit
		v     uint64
	}{{time, uint64(k.Time)}, {memory, uint64(k.MemoryKiB)}, {cpus, uint64(k.Threads)}} {
		if err := checkLimit(c.limit, c.v); err != nil {
			return err
		}
	}
	return nil
}

func (k Argon2id) encode(e *encoder, salt []byte) {
	e.text("type", "argon2id")
	e.number("time", uint64(k.Time))
	e.number("memory", uint64(k.MemoryKiB))
	e.number("cpus", uint64(k.Threads))
	e.base64("salt", salt)
}

func checkLimit(l limit, v uint64) error {
	if l.holds(v) {
		return nil
	}
	return fmt.Errorf("%w: %s %d, expected %s", ErrKDFBounds, l.field, v, l)
}

// kdf reads the object that says how to derive a slot's key. Nothing is
// derived or allocated before every number is inside its limit.
func (w *walker) kdf(o *object) (KDF, []byte) {
	var k KDF
	switch kind := o.find("type"); {
	case kind != nil && kind.kind == '"' && kind.text == "argon2id":
		time, memory, cpus := w.profile.argon2Limits()
		k = Argon2id{
			Time:      uint32(o.within(time)),
			MemoryKiB: uint32(o.within(memory)),
			Threads:   uint8(o.within(cpus)),
		}
	case kind != nil && kind.kind == '"' && kind.text == "pbkdf2":
		o.is("hash", "sha256")
		k = PBKDF2{Iterations: uint32(o.within(iterationsLimit))}
	case kind != nil:
		o.refuse("type", "found %s, expected \"pbkdf2\" or \"argon2id\"", kind.describe())
		return nil, nil
	default:
		o.need("type")
		return nil, nil
	}
	salt := o.bytes("salt", saltSize)
	o.done()
	return k, salt
}

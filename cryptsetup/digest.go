package cryptsetup

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// digest tells the right volume key from a wrong one. LUKS2 specification,
// section 3.4.
type digest struct {
	iterations uint32
	salt       []byte
	sum        []byte
}

const digestSize = 32

// newDigest uses the smallest iteration count: a volume key is random, and
// there is nothing to guess.
func newDigest(key *VolumeKey) (digest, error) {
	d := digest{iterations: minIterations, salt: make([]byte, saltSize)}
	if _, err := rand.Read(d.salt); err != nil {
		return digest{}, fmt.Errorf("salt of the digest: %w", err)
	}
	var err error
	d.sum, err = d.of(context.Background(), key.Bytes())
	return d, err
}

func (d digest) of(ctx context.Context, key []byte) (sum []byte, err error) {
	secret.Do(func() { sum, err = pbkdf2SHA256(ctx, key, d.salt, int(d.iterations), digestSize) })
	return sum, err
}

// matches compares in constant time; sums of different lengths never match.
func (d digest) matches(ctx context.Context, key []byte) (bool, error) {
	sum, err := d.of(ctx, key)
	defer secret.Zero(sum)
	return err == nil && subtle.ConstantTimeCompare(sum, d.sum) == 1, err
}

func (d digest) encode(e *encoder, slots []string) {
	e.object("0", func() {
		e.text("type", "pbkdf2")
		e.list("keyslots", slots)
		e.list("segments", []string{"0"})
		e.text("hash", "sha256")
		e.number("iterations", uint64(d.iterations))
		e.base64("salt", d.salt)
		e.base64("digest", d.sum)
	})
}

// digests reads the one digest, which must cover exactly the key slots and the
// segment.
func (w *walker) digests(n *node, slots []string) digest {
	var d digest
	all := w.object(n, "digest", "digests")
	if all.n == nil {
		return d
	}
	found := false
	for i, key := range all.n.keys {
		path := step("digests", key)
		if key != "0" {
			w.add("digest.id", path, "found %s, expected only \"0\"", quote(key))
			continue
		}
		found = true
		d = w.digest(w.object(all.n.vals[i], "digest", path), slots)
	}
	if !found {
		w.add("digest.id", "digests", "digest \"0\" is missing")
	}
	return d
}

func (w *walker) digest(o *object, slots []string) digest {
	var d digest
	if !o.is("type", "pbkdf2") {
		return d
	}
	o.refersTo("keyslots", slots)
	o.refersTo("segments", []string{"0"})
	o.is("hash", "sha256")
	d.iterations = uint32(o.within(iterationsLimit))
	d.salt = o.bytes("salt", saltSize)
	d.sum = o.bytes("digest", digestSize)
	o.done()
	return d
}

// refersTo compares a list of references with what it must hold, in any order.
func (o *object) refersTo(key string, want []string) {
	got, ok := o.strings(key)
	if !ok {
		return
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		o.refuse(key, "found %s, expected %v", quote(fmt.Sprint(got)), want)
	}
}

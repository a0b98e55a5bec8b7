package cryptsetup

import (
	"crypto/sha256"
	"encoding"
	"hash"

	"github.com/trusted-store/trusted-store/internal/secret"
)

const hmacSize = sha256.Size

// keyedHash is HMAC-SHA256 (RFC 2104) that can be wiped. The one of crypto/hmac
// keeps the key, masked with two constants, in memory that nobody can reach.
type keyedHash struct {
	inner, outer           digestState
	innerStart, outerStart []byte // the states after the masked key
}

// digestState is what crypto/sha256 returns, with its state to save and restore.
type digestState interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newHMAC(key []byte) *keyedHash {
	h := &keyedHash{inner: sha256.New().(digestState), outer: sha256.New().(digestState)}
	pad := make([]byte, sha256.BlockSize)
	defer secret.Zero(pad)
	if len(key) > len(pad) {
		h.inner.Write(key)
		h.inner.Sum(pad[:0])
		overwrite(h.inner)
		h.inner.Reset()
	} else {
		copy(pad, key)
	}
	mask(pad, 0x36)
	h.inner.Write(pad)
	mask(pad, 0x36^0x5c)
	h.outer.Write(pad)
	// A digest of crypto/sha256 can always be saved and restored.
	h.innerStart, _ = h.inner.AppendBinary(nil)
	h.outerStart, _ = h.outer.AppendBinary(nil)
	return h
}

func mask(b []byte, with byte) {
	for i := range b {
		b[i] ^= with
	}
}

// sum appends the HMAC of the parts to dst, which a part may share memory with.
func (h *keyedHash) sum(dst []byte, parts ...[]byte) []byte {
	_ = h.inner.UnmarshalBinary(h.innerStart)
	for _, p := range parts {
		h.inner.Write(p)
	}
	_ = h.outer.UnmarshalBinary(h.outerStart)
	end := len(dst)
	dst = h.inner.Sum(dst)
	h.outer.Write(dst[end:])
	return h.outer.Sum(dst[:end])
}

// wipe forgets the key.
func (h *keyedHash) wipe() {
	secret.Zero(h.innerStart)
	secret.Zero(h.outerStart)
	overwrite(h.inner)
	overwrite(h.outer)
}

// overwrite replaces the state of a digest, and the piece of its input that it
// keeps until a block is full.
func overwrite(d hash.Hash) {
	d.Reset()
	d.Write(make([]byte, sha256.BlockSize-1))
}

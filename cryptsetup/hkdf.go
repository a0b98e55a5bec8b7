package cryptsetup

import (
	"crypto/sha256"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// derive returns 32 secret bytes of the volume key for one purpose: HKDF-SHA256 of
// RFC 5869, without a salt, which a random key does not need. crypto/hkdf keeps what
// it computes with in memory that nobody can wipe.
func (k *VolumeKey) derive(purpose string) (out []byte) {
	secret.Do(func() { out = hkdfSHA256(k.Bytes(), purpose) })
	return out
}

func hkdfSHA256(key []byte, info string) []byte {
	extract := newHMAC(make([]byte, sha256.Size))
	defer extract.wipe()
	prk := extract.sum(nil, key)
	defer secret.Zero(prk)
	expand := newHMAC(prk)
	defer expand.wipe()
	return expand.sum(nil, []byte(info), []byte{1})
}

// Fingerprint returns 32 bytes that tell this volume from every other one, however its
// key slots change: the SHA-256 of a key that is derived from the volume key. They are
// no secret: kept where the host cannot change it, as Authentication.Fingerprint
// it detects another volume in this one's place.
func (k *VolumeKey) Fingerprint() [sha256.Size]byte {
	derived := k.derive("trusted-store volume fingerprint 1")
	defer secret.Zero(derived)
	return sha256.Sum256(derived)
}

package cryptsetup

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// afStripes is how many times larger the split key is than the key, so that
// losing any part of the area loses the key. LUKS2 specification, section 2.4;
// Fruhwirth, "New Methods in Hard Disk Encryption", section 5.2.
const afStripes = 4000

// afSplit fills dst, afStripes times as long as key, with stripes that only
// together give the key back.
func afSplit(dst, key []byte) error {
	n := len(key)
	last := dst[(afStripes-1)*n : afStripes*n]
	if _, err := rand.Read(dst[:(afStripes-1)*n]); err != nil {
		return err
	}
	acc := afAccumulate(dst, n)
	defer secret.Zero(acc)
	subtle.XORBytes(last, acc, key)
	return nil
}

// afMerge writes the key that src holds into key.
func afMerge(key, src []byte) {
	n := len(key)
	acc := afAccumulate(src, n)
	defer secret.Zero(acc)
	subtle.XORBytes(key, acc, src[(afStripes-1)*n:afStripes*n])
}

// afAccumulate chains all stripes but the last.
func afAccumulate(stripes []byte, n int) []byte {
	acc := make([]byte, n)
	for i := range afStripes - 1 {
		subtle.XORBytes(acc, acc, stripes[i*n:(i+1)*n])
		diffuse(acc)
	}
	return acc
}

// diffuse replaces each 32-byte piece of b, the last of which may be shorter, by
// as much of the hash of its number and itself.
func diffuse(b []byte) {
	var in [4 + sha256.Size]byte
	defer secret.Zero(in[:])
	for i := 0; i < len(b); i += sha256.Size {
		binary.BigEndian.PutUint32(in[:], uint32(i/sha256.Size))
		n := copy(in[4:], b[i:])
		sum := sha256.Sum256(in[:4+n])
		copy(b[i:], sum[:])
	}
}

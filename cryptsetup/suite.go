package cryptsetup

import "github.com/trusted-store/trusted-store/internal/dm"

// suite is all that follows from the [Integrity] of a volume. A header has every
// value of one suite or is rejected: nothing of two is ever mixed.
type suite struct {
	cipher        string    // of the segment
	integrityType string    // of its integrity object; empty: it has none
	keySize       int       // of the volume key, in bytes
	areaSize      int       // of a key-slot area: 4000 stripes of the key, rounded up to 4096
	target        dm.Cipher // in a table
	tagSize       int       // in a table, in bytes for each sector
}

// Sizes of the parts of a volume key, in bytes.
const (
	xtsKeySize   = 64
	hmacKeySize  = 32
	aegisKeySize = 16
)

var suites = [...]suite{
	HMACSHA256: {"aes-xts-plain64", "hmac(sha256)", xtsKeySize + hmacKeySize, areaSizeHMAC, dm.AuthencHMACSHA256XTSPlain64, 32},
	None:       {"aes-xts-plain64", "", xtsKeySize, areaSizeNone, dm.XTSPlain64, 0},
	// 16 bytes of nonce and 16 of tag; source: drivers/md/dm-crypt.c, crypt_ctr_cipher.
	AEAD: {"aegis128-random", "aead", aegisKeySize, areaSizeAEAD, dm.AEGIS128Random, 32},
}

// suite returns the values of a valid integrity.
func (i Integrity) suite() suite { return suites[i] }

// Cipher returns the cipher of the data, as headers name it: "aes-xts-plain64", or
// "aegis128-random" with [AEAD]. An unknown integrity has none.
func (i Integrity) Cipher() string {
	if !i.valid() {
		return ""
	}
	return i.suite().cipher
}

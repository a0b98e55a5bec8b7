package cryptsetup

import "fmt"

// Integrity says how the sectors of a volume are authenticated.
type Integrity uint8

const (
	// HMACSHA256 keeps a 32-byte HMAC-SHA256 tag for each 4096-byte sector:
	// a changed or moved sector cannot be read. It is the default.
	HMACSHA256 Integrity = iota
	// None encrypts without authentication: a changed sector decrypts to noise.
	None
	// AEAD leaves authentication to the cipher, aegis128-random: AEGIS-128 with a
	// random nonce of 16 bytes for each write of a sector, kept with the tag of 16
	// bytes. What [HMACSHA256] detects, it detects; in addition a sector that is
	// written again with equal contents looks different. The key has 128 bits.
	AEAD
)

// String returns the name that flags and reports use: "hmac-sha256", "none" or
// "aead".
func (i Integrity) String() string {
	switch i {
	case HMACSHA256:
		return "hmac-sha256"
	case None:
		return "none"
	case AEAD:
		return "aead"
	}
	return fmt.Sprintf("Integrity(%d)", uint8(i))
}

// ParseIntegrity is the inverse of [Integrity.String].
func ParseIntegrity(s string) (Integrity, error) {
	for _, i := range []Integrity{HMACSHA256, None, AEAD} {
		if s == i.String() {
			return i, nil
		}
	}
	return 0, fmt.Errorf("integrity %q: expected hmac-sha256, aead or none", s)
}

// MarshalText returns the name, so that JSON holds "hmac-sha256" and not 0.
func (i Integrity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (i *Integrity) UnmarshalText(b []byte) error {
	v, err := ParseIntegrity(string(b))
	if err != nil {
		return err
	}
	*i = v
	return nil
}

func (i Integrity) valid() bool { return int(i) < len(suites) }

// VolumeKeySize returns the length in bytes of the key of a volume: 96 with
// [HMACSHA256], 64 with [None], 16 with [AEAD]; 0 with an unknown integrity.
func VolumeKeySize(i Integrity) int {
	if !i.valid() {
		return 0
	}
	return i.suite().keySize
}

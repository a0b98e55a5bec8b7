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
)

// Sizes of the parts of a volume key, in bytes.
const (
	xtsKeySize  = 64
	hmacKeySize = 32
)

// String returns the name that flags and reports use: "hmac-sha256" or "none".
func (i Integrity) String() string {
	switch i {
	case HMACSHA256:
		return "hmac-sha256"
	case None:
		return "none"
	}
	return fmt.Sprintf("Integrity(%d)", uint8(i))
}

// ParseIntegrity is the inverse of [Integrity.String].
func ParseIntegrity(s string) (Integrity, error) {
	for _, i := range []Integrity{HMACSHA256, None} {
		if s == i.String() {
			return i, nil
		}
	}
	return 0, fmt.Errorf("integrity %q: expected hmac-sha256 or none", s)
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

func (i Integrity) valid() bool { return i == HMACSHA256 || i == None }

// VolumeKeySize returns the length in bytes of the key of a volume: 96 with
// [HMACSHA256], 64 with [None].
func VolumeKeySize(i Integrity) int {
	if i == None {
		return xtsKeySize
	}
	return xtsKeySize + hmacKeySize
}

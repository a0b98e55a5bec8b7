package cryptsetup

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// ProfileVersion names the set of rules that this package applies. A later
// version may accept what this one rejects by name.
const ProfileVersion = 1

// DefaultMaxArgon2Memory is the most memory, in bytes, that opening a key slot
// may take unless the caller raises it: 64 MiB.
const DefaultMaxArgon2Memory = 64 << 20

// Profile is what a caller accepts in a header. Everything that is not listed
// here has one exact value. The zero value is the strictest.
type Profile struct {
	// Integrity is what the volume must have, and with it the cipher. The zero
	// value requires hmac-sha256, so that a host cannot take integrity away.
	Integrity IntegrityRule
	// ExpectUUID is the UUID the volume must have; zero accepts any.
	ExpectUUID uuid.UUID
	// ExpectFingerprint is the [Header.Fingerprint] that the header must have;
	// zero accepts any. With one that was kept where the host cannot change it an
	// old header of the same volume, put back, is rejected.
	ExpectFingerprint [sha256.Size]byte
	// MaxArgon2Memory bounds, in bytes, what a key slot's argon2id may ask
	// for; 0 means DefaultMaxArgon2Memory. cryptsetup's own default asks for
	// up to 1 GiB.
	MaxArgon2Memory uint64
}

// IntegrityRule is what a [Profile] accepts of [Integrity].
type IntegrityRule uint8

const (
	// RequireHMACSHA256 accepts volumes with HMAC-SHA256 tags only.
	RequireHMACSHA256 IntegrityRule = iota
	// RequireNone accepts volumes without integrity only.
	RequireNone
	// AnyIntegrity accepts all of them, as the header says. It is meant for looking
	// at a header: with it the host chooses.
	AnyIntegrity
	// RequireAEAD accepts volumes with the cipher aegis128-random only.
	RequireAEAD
)

// Require returns the rule that accepts exactly i.
func Require(i Integrity) IntegrityRule {
	switch i {
	case None:
		return RequireNone
	case AEAD:
		return RequireAEAD
	}
	return RequireHMACSHA256
}

// required is the integrity against which a header is judged that does not state one.
func (r IntegrityRule) required() Integrity {
	switch r {
	case RequireNone:
		return None
	case RequireAEAD:
		return AEAD
	}
	return HMACSHA256
}

// String returns "hmac-sha256", "none", "aead" or "any".
func (r IntegrityRule) String() string {
	switch r {
	case RequireHMACSHA256, RequireNone, RequireAEAD:
		return r.required().String()
	case AnyIntegrity:
		return "any"
	}
	return fmt.Sprintf("IntegrityRule(%d)", uint8(r))
}

package cryptsetup

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// VolumeKey is the key that encrypts a volume: 64 bytes for AES-256-XTS, then
// 32 for HMAC-SHA256 when the volume has integrity. It lives in locked memory
// and prints as [redacted]. Its owner calls [VolumeKey.Wipe].
type VolumeKey struct {
	bytes     *secret.Bytes
	integrity Integrity
}

// NewVolumeKey returns a random key for a volume with this integrity. It fails
// when memory cannot be locked (see ulimit -l) or integrity is unknown.
func NewVolumeKey(integrity Integrity) (*VolumeKey, error) {
	if !integrity.valid() {
		return nil, fmt.Errorf("new volume key: unknown integrity %v", integrity)
	}
	b, err := secret.Random(VolumeKeySize(integrity))
	if err != nil {
		return nil, fmt.Errorf("new volume key: %w", err)
	}
	return &VolumeKey{bytes: b, integrity: integrity}, nil
}

// MoveVolumeKey makes a volume key of existing bytes, and wipes them, also when
// it fails. The length must be [VolumeKeySize].
func MoveVolumeKey(b []byte, integrity Integrity) (*VolumeKey, error) {
	defer secret.Zero(b)
	if !integrity.valid() || len(b) != VolumeKeySize(integrity) {
		return nil, fmt.Errorf("volume key of %d bytes, integrity %v: %w", len(b), integrity, ErrVolumeKeyMismatch)
	}
	s, err := secret.Move(b)
	if err != nil {
		return nil, fmt.Errorf("volume key: %w", err)
	}
	return &VolumeKey{bytes: s, integrity: integrity}, nil
}

// Bytes returns the key itself: a view that is valid until Wipe. It must not be
// kept, converted to a string or appended to.
func (k *VolumeKey) Bytes() []byte {
	if k == nil {
		return nil
	}
	return k.bytes.Bytes()
}

// Len returns the number of bytes, 0 after Wipe.
func (k *VolumeKey) Len() int { return len(k.Bytes()) }

// Integrity returns the integrity of the volumes that this key fits.
func (k *VolumeKey) Integrity() Integrity { return k.integrity }

// Wipe overwrites the key and gives its memory back. It may be called more
// than once, and on nil.
func (k *VolumeKey) Wipe() {
	if k != nil {
		k.bytes.Wipe()
	}
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (k *VolumeKey) String() string { return redacted }

// Format prints "[redacted]" for every verb.
func (k *VolumeKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]", for JSON too.
func (k *VolumeKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (k *VolumeKey) LogValue() slog.Value { return slog.StringValue(redacted) }

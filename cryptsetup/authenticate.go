package cryptsetup

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// Errors of [Header.CheckAuthentic], each an [ErrHeaderRejected], too.
var (
	// ErrNotAuthenticated: the header has no token that authenticates it.
	ErrNotAuthenticated = errors.New("the header is not authenticated")
	// ErrHeaderChanged: the token is not that of this header. Another program has
	// changed a key slot or a label since, as cryptsetup does, or the host has put
	// together what does not belong together.
	ErrHeaderChanged = errors.New("the header was changed since it was authenticated")
	// ErrOldHeader: the epoch is lower than Authentication.MinEpoch.
	ErrOldHeader = errors.New("the header is an old one")
	// ErrOtherVolume: the volume key is not that of Authentication.Fingerprint.
	ErrOtherVolume = errors.New("another volume")
)

// ErrNotRenewed: the header has a token, and was changed without a call of
// [Header.Authenticate]. It is not written.
var ErrNotRenewed = errors.New("the changed header must be authenticated again")

// Authentication is what a caller demands of a header whose key it has. The zero value
// takes a header without a token, and none whose token is not right.
type Authentication struct {
	// Required rejects a header without a token.
	Required bool
	// MinEpoch is the lowest epoch that is accepted; above 0 it includes Required. With
	// one that was kept where the host cannot change it an old header of the same
	// volume, put back, is rejected.
	MinEpoch uint64
	// Fingerprint, unless zero, is the only [VolumeKey.Fingerprint] that is accepted.
	Fingerprint [sha256.Size]byte
}

// Epoch counts how often the header was authenticated, and is 0 when it never was.
// Before [Header.CheckAuthentic] it is what the host says.
func (h *Header) Epoch() uint64 {
	if h.meta.token == nil {
		return 0
	}
	return h.meta.token.epoch
}

// Authenticate gives the header a token, or renews it: an HMAC-SHA256 over all that
// counts in both copies and over the key-slot areas, under a key derived from the volume
// key. Its epoch is higher by one than that of the header, and than after, which is the
// highest one that the caller knows of. It vouches for the header as it is: call
// [Header.CheckAuthentic] before anything of it is changed.
//
// The header changes in memory only. From then on every change takes another call
// before [Header.Write]. The error is [ErrVolumeKeyMismatch] when key is not this volume's.
func (h *Header) Authenticate(key *VolumeKey, after uint64) error {
	if err := h.owns(key); err != nil {
		return fmt.Errorf("authenticate header: %w", err)
	}
	last := max(h.Epoch(), after)
	if last >= maxEpoch {
		return fmt.Errorf("authenticate header: epoch %d is the last one", last)
	}
	h.meta.token = &token{epoch: last + 1}
	h.meta.token.mac = h.mac(key)
	h.changed = false
	return h.advance()
}

// CheckAuthentic compares the header with its token, and both with what the caller
// demands. key is what [Header.Unlock] gave. It is called before the volume is used.
func (h *Header) CheckAuthentic(key *VolumeKey, want Authentication) error {
	switch sum := key.Fingerprint(); {
	case want.Fingerprint != [sha256.Size]byte{} && want.Fingerprint != sum:
		return fmt.Errorf("%w: %w: its fingerprint is %x, expected %x", ErrHeaderRejected, ErrOtherVolume, sum, want.Fingerprint)
	case h.meta.token == nil && (want.Required || want.MinEpoch > 0):
		return fmt.Errorf("%w: %w", ErrHeaderRejected, ErrNotAuthenticated)
	case h.meta.token == nil:
		return nil
	case subtle.ConstantTimeCompare(h.mac(key), h.meta.token.mac) != 1:
		return fmt.Errorf("%w: %w", ErrHeaderRejected, ErrHeaderChanged)
	case h.Epoch() < want.MinEpoch:
		return fmt.Errorf("%w: %w: its epoch is %d, expected %d or higher", ErrHeaderRejected, ErrOldHeader, h.Epoch(), want.MinEpoch)
	}
	return nil
}

func (h *Header) mac(key *VolumeKey) (sum []byte) {
	text := h.canonical()
	derived := key.derive("trusted-store header authentication 1")
	defer secret.Zero(derived)
	secret.Do(func() {
		prf := newHMAC(derived)
		defer prf.wipe()
		sum = prf.sum(nil, text)
	})
	return sum
}

// canonical is what the token authenticates, the same for two headers that say the same
// in another order: a name, the UUID, the label, the subsystem, the length of the JSON
// text (8 bytes, big-endian), that text as this package writes it, with the key slots
// ascending and an empty MAC, and the SHA-256 of each key slot's area, ascending. What
// is left out says nothing of the volume: sequence number, salts and checksums.
func (h *Header) canonical() []byte {
	m := h.meta
	m.keyslots = h.Keyslots()
	m.token = &token{epoch: h.Epoch()}
	text := m.encode()
	out := []byte("trusted-store header 1\x00")
	out = append(out, h.uuid[:]...)
	out = append(out, h.labels.label[:]...)
	out = append(out, h.labels.subsystem[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(len(text)))
	out = append(out, text...)
	for _, s := range m.keyslots {
		sum := sha256.Sum256(s.area)
		out = append(out, sum[:]...)
	}
	return out
}

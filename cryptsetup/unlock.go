package cryptsetup

import (
	"context"
	"fmt"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// Unlock tries the passphrase on every key slot, ascending, and returns the
// volume key and the number of the slot that opened. The caller owns the key
// and wipes it.
//
// A passphrase that opens no slot is a *[WrongKeyError]; an empty one is
// [ErrEmptyPassphrase]. A slot for a random key takes a few milliseconds, one
// for a passphrase some tenths of a second and 64 MiB. A hostile header inside
// the bounds can make one slot take some seconds, and eight of them a minute;
// the memory is never more than Profile.MaxArgon2Memory for one slot at a time.
// When ctx ends Unlock does, with ctx's error: at once, or, since argon2id cannot
// be interrupted, when that of one slot is done.
func (h *Header) Unlock(ctx context.Context, passphrase []byte) (*VolumeKey, int, error) {
	if len(passphrase) == 0 {
		return nil, 0, fmt.Errorf("unlock: %w", ErrEmptyPassphrase)
	}
	wrong := &WrongKeyError{}
	for _, s := range h.Keyslots() {
		key, err := h.open(ctx, &s, passphrase)
		if err != nil {
			return nil, 0, fmt.Errorf("unlock: key slot %d: %w", s.ID, err)
		}
		if key != nil {
			return key, s.ID, nil
		}
		wrong.Tried = append(wrong.Tried, s.ID)
	}
	return nil, 0, wrong
}

// open returns the volume key that a slot holds, or nil when the passphrase is
// not the slot's.
func (h *Header) open(ctx context.Context, s *Keyslot, passphrase []byte) (key *VolumeKey, err error) {
	secret.Do(func() { key, err = h.openKeyslot(ctx, s, passphrase) })
	return key, err
}

func (h *Header) openKeyslot(ctx context.Context, s *Keyslot, passphrase []byte) (*VolumeKey, error) {
	if err := s.KDF.check(h.profile); err != nil {
		return nil, err
	}
	slotKey, err := s.KDF.derive(ctx, passphrase, s.salt)
	if err != nil {
		return nil, err
	}
	defer secret.Zero(slotKey)
	candidate, err := secret.New(VolumeKeySize(h.meta.integrity))
	if err != nil {
		return nil, err
	}
	if err := openArea(candidate.Bytes(), slotKey, s.area); err != nil {
		candidate.Wipe()
		return nil, err
	}
	if right, err := h.meta.digest.matches(ctx, candidate.Bytes()); !right {
		candidate.Wipe()
		return nil, err
	}
	return &VolumeKey{bytes: candidate, integrity: h.meta.integrity}, nil
}

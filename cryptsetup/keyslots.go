package cryptsetup

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/trusted-store/trusted-store/internal/secret"
)

// AddKeyslot wraps the volume key under a passphrase in the lowest free key
// slot and returns its number. A nil kdf means [KDFFor] the passphrase. The
// header changes in memory only; the passphrase is not kept.
//
// Errors: [ErrEmptyPassphrase]; [ErrKDFBounds], since a slot that the profile
// would reject is not written; [ErrVolumeKeyMismatch], when key is not this
// volume's; [ErrKeyslotsFull], also for a place whose removal is not written yet.
func (h *Header) AddKeyslot(passphrase []byte, key *VolumeKey, kdf KDF) (int, error) {
	id, err := h.addKeyslot(passphrase, key, kdf)
	if err != nil {
		return 0, fmt.Errorf("add key slot: %w", err)
	}
	return id, nil
}

func (h *Header) addKeyslot(passphrase []byte, key *VolumeKey, kdf KDF) (int, error) {
	if len(passphrase) == 0 {
		return 0, ErrEmptyPassphrase
	}
	if kdf == nil {
		kdf = KDFFor(passphrase)
	}
	if err := kdf.check(h.profile); err != nil {
		return 0, err
	}
	if key.Len() != VolumeKeySize(h.meta.integrity) {
		return 0, ErrVolumeKeyMismatch
	}
	// Whoever has the key unlocked the header with the same digest: that ended.
	if right, err := h.meta.digest.matches(context.Background(), key.Bytes()); err != nil {
		return 0, err
	} else if !right {
		return 0, ErrVolumeKeyMismatch
	}
	s, ok := h.freeKeyslot()
	if !ok {
		return 0, ErrKeyslotsFull
	}
	s.KDF = kdf
	if err := s.seal(passphrase, key); err != nil {
		return 0, err
	}
	h.meta.keyslots, h.meta.sizeOnly = append(h.meta.keyslots, s), false
	return s.ID, h.advance()
}

// freeKeyslot returns the lowest free number and the first free place; the two
// are independent. The place of a slot that was removed stays taken until that
// is written: a power cut before then brings the old header back.
func (h *Header) freeKeyslot() (Keyslot, bool) {
	i := h.meta.integrity
	s := Keyslot{ID: -1, Offset: -1, Size: int64(areaSize(i))}
	for n := range MaxKeyslots {
		place := int64(areaOffset(i, n))
		if s.ID < 0 && h.indexOf(n) < 0 {
			s.ID = n
		}
		if s.Offset < 0 && !h.taken(place) {
			s.Offset = place
		}
	}
	return s, s.ID >= 0 && s.Offset >= 0
}

func (h *Header) taken(place int64) bool {
	_, removed := h.wiped[place]
	return removed || slices.ContainsFunc(h.meta.keyslots, func(s Keyslot) bool { return s.Offset == place })
}

func (h *Header) indexOf(id int) int {
	return slices.IndexFunc(h.meta.keyslots, func(s Keyslot) bool { return s.ID == id })
}

// seal fills a slot with a fresh salt and the wrapped key.
func (s *Keyslot) seal(passphrase []byte, key *VolumeKey) error {
	s.salt = make([]byte, saltSize)
	if _, err := rand.Read(s.salt); err != nil {
		return fmt.Errorf("salt of the key slot: %w", err)
	}
	var err error
	secret.Do(func() {
		var slotKey []byte
		if slotKey, err = s.KDF.derive(context.Background(), passphrase, s.salt); err != nil {
			return
		}
		defer secret.Zero(slotKey)
		s.area, err = sealArea(slotKey, key.Bytes(), s.Size)
	})
	return err
}

// RemoveKeyslot forgets a key slot. [Header.Write] then overwrites its area
// with random bytes. Without its last slot a volume can be opened by nobody who
// does not hold the volume key itself; that decision is the caller's. The host
// may have kept a copy of the device, so a passphrase that leaked is not undone
// by this: that takes a new volume. The error is [ErrKeyslotNotFound].
func (h *Header) RemoveKeyslot(id int) error {
	i := h.indexOf(id)
	if i < 0 {
		return fmt.Errorf("remove key slot %d: %w", id, ErrKeyslotNotFound)
	}
	s := h.meta.keyslots[i]
	if h.wiped == nil {
		h.wiped = map[int64]int64{}
	}
	h.wiped[s.Offset] = s.Size
	h.meta.keyslots = slices.Delete(h.meta.keyslots, i, i+1)
	return h.advance()
}

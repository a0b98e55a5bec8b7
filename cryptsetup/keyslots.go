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
	id := 0
	for id < MaxKeyslots && h.indexOf(id) >= 0 {
		id++
	}
	if id == MaxKeyslots {
		return 0, ErrKeyslotsFull
	}
	s, err := h.newKeyslot(id, passphrase, key, kdf)
	if err != nil {
		return 0, err
	}
	h.meta.keyslots, h.meta.sizeOnly = append(h.meta.keyslots, s), false
	return s.ID, h.change()
}

// ChangeKeyslot replaces a key slot by one for another passphrase, of the same
// number and at a place of its own. [Header.WriteSync] writes that place, then the
// header that names it, and only then random bytes over the old one, so that one of
// the two passphrases opens the volume whenever the power goes. A nil kdf means
// [KDFFor] the passphrase.
//
// Errors: [ErrKeyslotNotFound]; those of [Header.AddKeyslot], of which
// [ErrKeyslotsFull] says that there is no place beside the eight slots.
func (h *Header) ChangeKeyslot(id int, passphrase []byte, key *VolumeKey, kdf KDF) error {
	i := h.indexOf(id)
	if i < 0 {
		return fmt.Errorf("change key slot %d: %w", id, ErrKeyslotNotFound)
	}
	s, err := h.newKeyslot(id, passphrase, key, kdf)
	if err != nil {
		return fmt.Errorf("change key slot %d: %w", id, err)
	}
	h.forget(h.meta.keyslots[i])
	h.meta.keyslots[i] = s
	return h.change()
}

// newKeyslot wraps the key for the first free place. The place of a slot that was
// removed stays taken until that is written: a power cut before then brings the old
// header back.
func (h *Header) newKeyslot(id int, passphrase []byte, key *VolumeKey, kdf KDF) (Keyslot, error) {
	if kdf == nil {
		kdf = KDFFor(passphrase)
	}
	if err := h.mayWrap(passphrase, key, kdf); err != nil {
		return Keyslot{}, err
	}
	i := h.meta.integrity
	for n := range MaxKeyslots {
		s := Keyslot{ID: id, KDF: kdf, Offset: int64(areaOffset(i, n)), Size: int64(areaSize(i))}
		if !h.taken(s.Offset) {
			return s, s.seal(passphrase, key)
		}
	}
	return Keyslot{}, ErrKeyslotsFull
}

func (h *Header) mayWrap(passphrase []byte, key *VolumeKey, kdf KDF) error {
	if len(passphrase) == 0 {
		return ErrEmptyPassphrase
	}
	if err := kdf.check(h.profile); err != nil {
		return err
	}
	return h.owns(key)
}

// owns returns an [ErrVolumeKeyMismatch] when key is not this volume's.
func (h *Header) owns(key *VolumeKey) error {
	if key.Len() != VolumeKeySize(h.meta.integrity) {
		return ErrVolumeKeyMismatch
	}
	// Whoever has the key unlocked the header with the same digest: that ended.
	right, err := h.meta.digest.matches(context.Background(), key.Bytes())
	if err == nil && !right {
		return ErrVolumeKeyMismatch
	}
	return err
}

func (h *Header) taken(place int64) bool {
	return h.wiped[place] || slices.ContainsFunc(h.meta.keyslots, func(s Keyslot) bool { return s.Offset == place })
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
	h.forget(h.meta.keyslots[i])
	h.meta.keyslots = slices.Delete(h.meta.keyslots, i, i+1)
	return h.change()
}

// forget lets the next write overwrite the area of a slot.
func (h *Header) forget(s Keyslot) {
	if h.wiped == nil {
		h.wiped = map[int64]bool{}
	}
	h.wiped[s.Offset] = true
}

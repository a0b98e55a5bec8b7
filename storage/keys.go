package storage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// Keyslot is one key slot of a persistent volume.
type Keyslot = cryptsetup.Keyslot

// KeyOptions are what [AddKey], [ChangeKey] and [RemoveKey] may be told. The zero value
// takes whatever header inside the profile the device holds, unless it has a token that is
// not right: a host that puts an old one back, as a whole, has it renewed, and with it a
// key that was removed since.
type KeyOptions struct {
	// ExpectUUID and ExpectHeader are as in [OpenOptions].
	ExpectUUID   uuid.UUID
	ExpectHeader [sha256.Size]byte
	// RequireAuthenticated, ExpectEpoch and ExpectVolume are as in [OpenOptions].
	RequireAuthenticated bool
	ExpectEpoch          uint64
	ExpectVolume         [sha256.Size]byte
	// RemoveLast lets [RemoveKey] remove the only key slot that is left. All that the
	// volume holds is lost with it, but for who has a copy of the header.
	RemoveLast bool
}

func (o KeyOptions) profile() cryptsetup.Profile {
	return cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity, ExpectUUID: o.ExpectUUID, ExpectFingerprint: o.ExpectHeader}
}

func (o KeyOptions) authentication() cryptsetup.Authentication {
	return cryptsetup.Authentication{Required: o.RequireAuthenticated, MinEpoch: o.ExpectEpoch, Fingerprint: o.ExpectVolume}
}

// KeyChange is what [AddKey], [ChangeKey] or [RemoveKey] did.
type KeyChange struct {
	Slot int // that was added, changed or removed
	// Header is the next [OpenOptions].ExpectHeader: the SHA-256 of the header that was
	// written, of the bytes in memory. The device was not asked what it holds.
	Header [sha256.Size]byte
	// Volume and Epoch are as in [HeaderState].
	Volume [sha256.Size]byte
	Epoch  uint64
}

// Keys lists the key slots of the volume on the device, by number. It only
// reads.
func Keys(ctx context.Context, device string) ([]Keyslot, error) {
	var slots []Keyslot
	err := withHeader(ctx, "key list", device, KeyOptions{}, func(h *lockedHeader) error {
		slots = h.Keyslots()
		return nil
	})
	return slots, err
}

// CheckKey reports whether key opens the volume on the device: nil,
// [ErrWrongKey], or why that cannot be said. It only reads, and the store may be
// live meanwhile.
func CheckKey(ctx context.Context, device string, key *Key) error {
	return withHeader(ctx, "key check", device, KeyOptions{}, func(h *lockedHeader) error {
		volumeKey, _, err := h.unlock(ctx, key, cryptsetup.Authentication{})
		volumeKey.Wipe()
		return err
	})
}

// AddKey adds a key to the volume on the device, which key must open. Of up to eight
// keys each opens the volume. The store may be live meanwhile. Both keys are the
// caller's to wipe.
//
// A power cut between the two copies of the header leaves them different. Open rejects
// that by name, and who knows of the power cut calls [Recover].
func AddKey(ctx context.Context, device string, key, added *Key, opts KeyOptions) (KeyChange, error) {
	return changeKeys(ctx, "key add", device, key, opts, func(h *lockedHeader, u unlocked) (int, error) {
		return h.AddKeyslot(added.bytes.Bytes(), u.key, nil)
	})
}

// ChangeKey lets next open the volume on the device instead of key, in one step: the
// key slot of next is on the device before the header names it, and the other slot is
// overwritten after that. Cut off at any moment, the volume has one of the two keys.
// The slot keeps its number. It takes one place beside the slots, so with eight of
// them it is refused.
//
// What [AddKey] says of power cuts and of live stores is so here, and what [RemoveKey]
// says of a key that leaked.
func ChangeKey(ctx context.Context, device string, key, next *Key, opts KeyOptions) (KeyChange, error) {
	return changeKeys(ctx, "key change", device, key, opts, func(h *lockedHeader, u unlocked) (int, error) {
		if subtle.ConstantTimeCompare(key.bytes.Bytes(), next.bytes.Bytes()) == 1 {
			return 0, refuse(ErrInvalid, "", "the new key is the old one")
		}
		err := h.ChangeKeyslot(u.slot, next.bytes.Bytes(), u.key, nil)
		if errors.Is(err, cryptsetup.ErrKeyslotsFull) {
			return 0, because(err, ErrInvalid, "remove another one first: storage.RemoveKey",
				"all %d key slots are in use, and the new one must be there before the old one goes", cryptsetup.MaxKeyslots)
		}
		if err != nil {
			return 0, err
		}
		return u.slot, h.opensNothing(ctx, key)
	})
}

// opensNothing refuses a change that would leave the old key in another slot.
func (h *lockedHeader) opensNothing(ctx context.Context, key *Key) error {
	volumeKey, other, err := h.Unlock(ctx, key.bytes.Bytes())
	volumeKey.Wipe()
	switch {
	case errors.Is(err, cryptsetup.ErrWrongKey):
		return nil
	case err != nil:
		return err
	}
	return refuse(ErrInvalid, "remove that one first: storage.RemoveKey",
		"the old key opens key slot %d, too, and would still open the volume afterwards", other)
}

// RemoveKey removes a key slot of the volume on the device, and overwrites it. key must
// open another slot, so that the volume can still be opened afterwards; only with
// RemoveLast is the last slot removed, which key must open. The host may have kept the
// old header: a key that leaked is undone by a new volume only, or where whoever opens
// the volume expects the header that was written here.
func RemoveKey(ctx context.Context, device string, slot int, key *Key, opts KeyOptions) (KeyChange, error) {
	return changeKeys(ctx, "key remove", device, key, opts, func(h *lockedHeader, u unlocked) (int, error) {
		slots := h.Keyslots()
		if !slices.ContainsFunc(slots, func(k Keyslot) bool { return k.ID == slot }) {
			return 0, refuse(ErrInvalid, "storage.Keys shows them", "the volume has no key slot %d", slot)
		}
		if len(slots) == 1 && !opts.RemoveLast {
			return 0, refuse(ErrInvalid, "add another key first; with KeyOptions.RemoveLast it is removed all the same",
				"key slot %d is the only one: without it nobody can open the volume again, and all that is on it is lost", slot)
		}
		if err := h.RemoveKeyslot(slot); err != nil {
			return 0, err
		}
		if u.slot == slot && len(slots) > 1 {
			return slot, h.stillOpens(ctx, key)
		}
		return slot, nil
	})
}

// stillOpens refuses to remove the only key slot that the caller can open.
func (h *lockedHeader) stillOpens(ctx context.Context, key *Key) error {
	volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
	volumeKey.Wipe()
	if errors.Is(err, cryptsetup.ErrWrongKey) {
		return refuse(ErrWrongKey, "give a key that stays, so that the volume can be opened afterwards", "the key opens none of the other slots: %w", err)
	}
	return err
}

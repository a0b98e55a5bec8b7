package storage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// Keyslot is one key slot of a persistent volume.
type Keyslot = cryptsetup.Keyslot

// KeyOptions are what [AddKey], [ChangeKey] and [RemoveKey] may be told. The zero value takes
// whatever header inside the profile the device holds: a host that puts an old one
// back has it renewed, and with it a key that was removed since.
type KeyOptions struct {
	// ExpectUUID and ExpectHeader are as in [OpenOptions].
	ExpectUUID   uuid.UUID
	ExpectHeader [sha256.Size]byte
	// RemoveLast lets [RemoveKey] remove the only key slot that is left. All that the
	// volume holds is lost with it, but for who has a copy of the header.
	RemoveLast bool
}

func (o KeyOptions) profile() cryptsetup.Profile {
	return cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity, ExpectUUID: o.ExpectUUID, ExpectFingerprint: o.ExpectHeader}
}

// KeyChange is what [AddKey], [ChangeKey] or [RemoveKey] did.
type KeyChange struct {
	Slot int // that was added, changed or removed
	// Header is the next [OpenOptions].ExpectHeader: the SHA-256 of the header that was
	// written, of the bytes in memory. The device was not asked what it holds.
	Header [sha256.Size]byte
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
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
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
	return changeKeys(ctx, "key add", device, opts, func(h *lockedHeader) (int, error) {
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
		if err != nil {
			return 0, err
		}
		defer volumeKey.Wipe()
		return h.AddKeyslot(added.bytes.Bytes(), volumeKey, nil)
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
	return changeKeys(ctx, "key change", device, opts, func(h *lockedHeader) (int, error) {
		volumeKey, slot, err := h.Unlock(ctx, key.bytes.Bytes())
		if err != nil {
			return 0, err
		}
		defer volumeKey.Wipe()
		if subtle.ConstantTimeCompare(key.bytes.Bytes(), next.bytes.Bytes()) == 1 {
			return 0, refuse(ErrInvalid, "", "the new key is the old one")
		}
		err = h.ChangeKeyslot(slot, next.bytes.Bytes(), volumeKey, nil)
		if errors.Is(err, cryptsetup.ErrKeyslotsFull) {
			return 0, because(err, ErrInvalid, "remove another one first: trusted-store key remove",
				"all %d key slots are in use, and the new one must be there before the old one goes", cryptsetup.MaxKeyslots)
		}
		if err != nil {
			return 0, err
		}
		return slot, h.opensNothing(ctx, key)
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
	return refuse(ErrInvalid, fmt.Sprintf("remove that one first: trusted-store key remove DEVICE %d", other),
		"the old key opens key slot %d, too, and would still open the volume afterwards", other)
}

// RemoveKey removes a key slot of the volume on the device, and overwrites it. key must
// open another slot, so that the volume can still be opened afterwards; only with
// RemoveLast is the last slot removed, which key must open. The host may have kept the
// old header: a key that leaked is undone by a new volume only, or where whoever opens
// the volume expects the header that was written here.
func RemoveKey(ctx context.Context, device string, slot int, key *Key, opts KeyOptions) (KeyChange, error) {
	return changeKeys(ctx, "key remove", device, opts, func(h *lockedHeader) (int, error) {
		slots := h.Keyslots()
		if !slices.ContainsFunc(slots, func(k Keyslot) bool { return k.ID == slot }) {
			return 0, refuse(ErrInvalid, "trusted-store key list shows them", "the volume has no key slot %d", slot)
		}
		if len(slots) == 1 && !opts.RemoveLast {
			return 0, refuse(ErrInvalid, "add another key first; with --force it is removed all the same",
				"key slot %d is the only one: without it nobody can open the volume again, and all that is on it is lost", slot)
		}
		proven, err := h.proveKey(ctx, key, slot, len(slots) == 1)
		if err != nil {
			return 0, err
		}
		proven.Wipe()
		return slot, nil
	})
}

// proveKey removes the slot, and returns the volume key that key opens another one to;
// of the last one, this one.
func (h *lockedHeader) proveKey(ctx context.Context, key *Key, slot int, last bool) (*cryptsetup.VolumeKey, error) {
	if last {
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
		if err != nil {
			return nil, err
		}
		return volumeKey, h.RemoveKeyslot(slot)
	}
	if err := h.RemoveKeyslot(slot); err != nil {
		return nil, err
	}
	volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
	if errors.Is(err, cryptsetup.ErrWrongKey) {
		return nil, refuse(ErrWrongKey, "give a key that stays, so that the volume can be opened afterwards", "the key opens none of the other slots: %w", err)
	}
	return volumeKey, err
}

// changeKeys lets change do what it does to the header in memory, and writes that.
func changeKeys(ctx context.Context, op, device string, opts KeyOptions, change func(*lockedHeader) (slot int, err error)) (KeyChange, error) {
	var done KeyChange
	err := withHeader(ctx, op, device, opts, func(h *lockedHeader) error {
		slot, err := change(h)
		if err != nil {
			return err
		}
		if err := h.write(ctx); err != nil {
			return err
		}
		done = KeyChange{slot, h.Fingerprint()}
		return nil
	})
	return done, err
}

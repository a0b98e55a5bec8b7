package storage

import (
	"errors"
	"slices"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// Keyslot is one key slot of a persistent volume.
type Keyslot = cryptsetup.Keyslot

// Keys lists the key slots of the volume on the device, by number. It only
// reads.
func Keys(device string) ([]Keyslot, error) {
	var slots []Keyslot
	err := withHeader("key list", device, func(_ *blockdev.Device, h *cryptsetup.Header) error {
		slots = h.Keyslots()
		return nil
	})
	return slots, err
}

// CheckKey reports whether key opens the volume on the device: nil,
// [ErrWrongKey], or why that cannot be said. It only reads, and the store may be
// live meanwhile.
func CheckKey(device string, key *Key) error {
	return withHeader("key check", device, func(_ *blockdev.Device, h *cryptsetup.Header) error {
		volumeKey, _, err := h.Unlock(key.bytes.Bytes())
		volumeKey.Wipe()
		return err
	})
}

// AddKey adds a key to the volume on the device, which key must open, and
// returns the number of its slot. Of up to eight keys each opens the volume. The
// store may be live meanwhile. Both keys are the caller's to wipe.
//
// A power cut between the two copies of the header leaves them different; Open
// rejects that by name, and the caller who knows of the power cut can choose the
// newer one with cryptsetup.Recover.
func AddKey(device string, key, added *Key) (slot int, err error) {
	err = withHeader("key add", device, func(dev *blockdev.Device, h *cryptsetup.Header) error {
		volumeKey, _, err := h.Unlock(key.bytes.Bytes())
		if err != nil {
			return err
		}
		defer volumeKey.Wipe()
		passphrase := added.bytes.Bytes()
		if slot, err = h.AddKeyslot(passphrase, volumeKey, cryptsetup.KDFFor(passphrase)); err != nil {
			return err
		}
		return h.WriteSync(dev.File())
	})
	return slot, err
}

// RemoveKey removes a key slot of the volume on the device. key must open
// another slot, so that the volume can still be opened afterwards. The host may
// have kept the old header: a key that leaked is undone by a new volume only.
func RemoveKey(device string, slot int, key *Key) error {
	return withHeader("key remove", device, func(dev *blockdev.Device, h *cryptsetup.Header) error {
		if !slices.ContainsFunc(h.Keyslots(), func(k Keyslot) bool { return k.ID == slot }) {
			return refuse(ErrInvalid, "", "the volume has no key slot %d", slot)
		}
		if len(h.Keyslots()) == 1 {
			return refuse(ErrInvalid, "add another key first, or destroy the volume: trusted-store create "+device+" --force", "slot %d is the only one: without it nobody could open the volume again", slot)
		}
		if err := h.RemoveKeyslot(slot); err != nil {
			return err
		}
		volumeKey, _, err := h.Unlock(key.bytes.Bytes())
		if err != nil {
			return refuse(ErrWrongKey, "give a key that stays, so that the volume can be opened afterwards", "the key opens none of the other slots: %w", err)
		}
		volumeKey.Wipe()
		return h.WriteSync(dev.File())
	})
}

// withHeader reads the header of a device that may be in use, under the lock
// that keeps Create and Open away.
func withHeader(op, device string, use func(*blockdev.Device, *cryptsetup.Header) error) error {
	dev, err := blockdev.Open(device, blockdev.Options{})
	if err != nil {
		return failure(op, device, "", explainOpen(device, err))
	}
	err = lockAndUse(dev, use)
	return failure(op, device, "", errors.Join(err, dev.Close()))
}

func lockAndUse(dev *blockdev.Device, use func(*blockdev.Device, *cryptsetup.Header) error) error {
	if err := dev.Lock(); err != nil {
		return err
	}
	h, err := cryptsetup.Read(dev.File(), cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity})
	if err != nil {
		return explainKeyHeader(err)
	}
	return use(dev, h)
}

// explainKeyHeader says what to do about a header that keeps its keys from being
// changed.
func explainKeyHeader(err error) error {
	var rejected *cryptsetup.RejectedError
	switch {
	case !errors.As(err, &rejected):
		return err
	case rejected.Has(cryptsetup.RuleHeaderNone):
		return refuse(ErrHeaderRejected, "a volume with keys is made by trusted-store create --key", "%w", err)
	}
	return refuse(ErrHeaderRejected, "see trusted-store inspect, which lists all of it", "%w", err)
}

package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// Keyslot is one key slot of a persistent volume.
type Keyslot = cryptsetup.Keyslot

// KeyOptions are what [AddKey] and [RemoveKey] may be told. The zero value takes
// whatever header inside the profile the device holds: a host that puts an old one
// back has it renewed, and with it a key that was removed since.
type KeyOptions struct {
	// ExpectUUID and ExpectHeader are as in [OpenOptions].
	ExpectUUID   uuid.UUID
	ExpectHeader [sha256.Size]byte
}

func (o KeyOptions) profile() cryptsetup.Profile {
	return cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity, ExpectUUID: o.ExpectUUID, ExpectFingerprint: o.ExpectHeader}
}

// KeyChange is what [AddKey] or [RemoveKey] did.
type KeyChange struct {
	Slot int // that was added or removed
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
// A power cut between the two copies of the header leaves them different; Open
// rejects that by name, and the caller who knows of the power cut can choose the
// newer one with cryptsetup.Recover.
func AddKey(ctx context.Context, device string, key, added *Key, opts KeyOptions) (KeyChange, error) {
	var done KeyChange
	err := withHeader(ctx, "key add", device, opts, func(h *lockedHeader) error {
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
		if err != nil {
			return err
		}
		defer volumeKey.Wipe()
		passphrase := added.bytes.Bytes()
		slot, err := h.AddKeyslot(passphrase, volumeKey, cryptsetup.KDFFor(passphrase))
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

// RemoveKey removes a key slot of the volume on the device. key must open
// another slot, so that the volume can still be opened afterwards. The host may
// have kept the old header: a key that leaked is undone by a new volume only, or
// where whoever opens the volume expects the header that was written here.
func RemoveKey(ctx context.Context, device string, slot int, key *Key, opts KeyOptions) (KeyChange, error) {
	var done KeyChange
	err := withHeader(ctx, "key remove", device, opts, func(h *lockedHeader) error {
		if !slices.ContainsFunc(h.Keyslots(), func(k Keyslot) bool { return k.ID == slot }) {
			return refuse(ErrInvalid, "", "the volume has no key slot %d", slot)
		}
		if len(h.Keyslots()) == 1 {
			return refuse(ErrInvalid, "add another key first, or destroy the volume: storage.Create("+device+") with CreateOptions.Overwrite", "slot %d is the only one: without it nobody could open the volume again", slot)
		}
		if err := h.RemoveKeyslot(slot); err != nil {
			return err
		}
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
		if errors.Is(err, cryptsetup.ErrWrongKey) {
			return refuse(ErrWrongKey, "give a key that stays, so that the volume can be opened afterwards", "the key opens none of the other slots: %w", err)
		}
		if err != nil {
			return err
		}
		volumeKey.Wipe()
		if err := h.write(ctx); err != nil {
			return err
		}
		done = KeyChange{slot, h.Fingerprint()}
		return nil
	})
	return done, err
}

// lockedHeader is the header of a device that may be in use, under the lock that
// keeps Create and Open away.
type lockedHeader struct {
	*cryptsetup.Header
	dev *blockdev.Device
}

func (h *lockedHeader) close() error { return h.dev.Close() }

// write is all or nothing as far as ctx goes.
func (h *lockedHeader) write(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return h.WriteSync(h.dev.File())
}

func withHeader(ctx context.Context, op, device string, opts KeyOptions, use func(*lockedHeader) error) error {
	h, err := await(ctx, silentDevice, func() (*lockedHeader, error) { return readLocked(device, opts) },
		func(h *lockedHeader) { _ = h.close() }) // only read
	if err == nil {
		err = errors.Join(use(h), h.close())
	}
	return failure(op, device, "", err)
}

func readLocked(device string, opts KeyOptions) (*lockedHeader, error) {
	dev, err := blockdev.Open(device, blockdev.Options{})
	if err != nil {
		return nil, explainOpen(device, err)
	}
	if err := dev.Lock(); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	h, err := cryptsetup.Read(dev.File(), opts.profile())
	if err != nil {
		return nil, errors.Join(explainKeyHeader(err), dev.Close())
	}
	return &lockedHeader{h, dev}, nil
}

// explainKeyHeader says what to do about a header that keeps its keys from being
// changed.
func explainKeyHeader(err error) error {
	var rejected *cryptsetup.RejectedError
	switch {
	case !errors.As(err, &rejected):
		return err
	case rejected.Has(cryptsetup.RuleHeaderNone):
		return refuse(ErrHeaderRejected, "a volume with keys is made by storage.Create with CreateOptions.Key", "%w", err)
	}
	return refuse(ErrHeaderRejected, "see storage.Inspect, which lists all of it", "%w", err)
}

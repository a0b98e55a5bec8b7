package storage

import (
	"context"
	"errors"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// lockedHeader is the header of a device that may be in use, under the lock that
// keeps Create and Open away.
type lockedHeader struct {
	*cryptsetup.Header
	dev *blockdev.Device
}

func (h *lockedHeader) close() error { return h.dev.Close() }

// unlocked is what a key opens a header to.
type unlocked struct {
	key  *cryptsetup.VolumeKey
	slot int
}

// unlock refuses a header that is not the one that was authenticated. The volume key is
// the caller's to wipe.
func (h *lockedHeader) unlock(ctx context.Context, key *Key, want cryptsetup.Authentication) (*cryptsetup.VolumeKey, int, error) {
	return unlockAuthentic(ctx, h.Header, key, want)
}

func unlockAuthentic(ctx context.Context, h *cryptsetup.Header, key *Key, want cryptsetup.Authentication) (*cryptsetup.VolumeKey, int, error) {
	volumeKey, slot, err := h.Unlock(ctx, key.bytes.Bytes())
	if err != nil {
		return nil, 0, err
	}
	if err := h.CheckAuthentic(volumeKey, want); err != nil {
		volumeKey.Wipe()
		return nil, 0, explainAuthentic(err)
	}
	return volumeKey, slot, nil
}

// changeKeys lets change do what it does to the header in memory, renews its token and
// writes it.
func changeKeys(ctx context.Context, op, device string, key *Key, opts KeyOptions, change func(*lockedHeader, unlocked) (slot int, err error)) (KeyChange, error) {
	var done KeyChange
	err := withHeader(ctx, op, device, opts, func(h *lockedHeader) error {
		volumeKey, opened, err := h.unlock(ctx, key, opts.authentication())
		if err != nil {
			return err
		}
		defer volumeKey.Wipe()
		slot, err := change(h, unlocked{volumeKey, opened})
		if err != nil {
			return err
		}
		if h.Epoch() > 0 {
			if err := h.Authenticate(volumeKey, 0); err != nil {
				return err
			}
		}
		if err := h.write(ctx); err != nil {
			return err
		}
		done = KeyChange{Slot: slot, Header: h.Fingerprint(), Volume: volumeKey.Fingerprint(), Epoch: h.Epoch()}
		return nil
	})
	return done, err
}

// write is all or nothing as far as ctx goes.
func (h *lockedHeader) write(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return h.WriteSync(h.dev.File())
}

func withHeader(ctx context.Context, op, device string, opts KeyOptions, use func(*lockedHeader) error) error {
	read := func(h *lockedHeader) (err error) {
		h.Header, err = cryptsetup.Read(h.dev.File(), opts.profile())
		return explainKeyHeader(err)
	}
	return withDevice(ctx, op, device, read, use)
}

// withDevice locks the device, reads its header as read does, and uses it.
func withDevice(ctx context.Context, op, device string, read, use func(*lockedHeader) error) error {
	h, err := await(ctx, silentDevice, func() (*lockedHeader, error) { return readLocked(device, read) },
		func(h *lockedHeader) { _ = h.close() }) // only read
	if err == nil {
		err = errors.Join(use(h), h.close())
	}
	return failure(op, device, "", err)
}

func readLocked(device string, read func(*lockedHeader) error) (*lockedHeader, error) {
	dev, err := blockdev.Open(device, blockdev.Options{})
	if err != nil {
		return nil, explainOpen(device, err)
	}
	h := &lockedHeader{dev: dev}
	if err := dev.Lock(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	if err := read(h); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
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
	case torn(rejected):
		return refuse(ErrHeaderRejected, tornHint, "%w", err)
	}
	return refuse(ErrHeaderRejected, "see storage.Inspect, which lists all of it", "%w", err)
}

// torn reports whether the power may have gone while the header was written.
func torn(rejected *cryptsetup.RejectedError) bool {
	return rejected.Has(cryptsetup.RuleSeqID) || rejected.Has(cryptsetup.RuleChecksum)
}

const tornHint = "if the power went while a key was changed: storage.Recover; storage.Inspect lists what is wrong"

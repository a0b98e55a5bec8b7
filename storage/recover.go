package storage

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// RecoverOptions are what [Recover] may be told. The zero value takes the newer copy.
type RecoverOptions struct {
	// Copy is which of the two copies counts.
	Copy cryptsetup.CopyChoice
	// ExpectUUID, ExpectEpoch and ExpectVolume are as in [OpenOptions].
	ExpectUUID   uuid.UUID
	ExpectEpoch  uint64
	ExpectVolume [sha256.Size]byte
}

// Recovery is what [Recover] did.
type Recovery struct {
	HeaderState
	// Copy is the one that was used; NewerCopy: the header was whole, and nothing was
	// written.
	Copy  cryptsetup.CopyChoice
	Slots []Keyslot // of the header, by number
	// Header is as in [KeyChange].
	Header [sha256.Size]byte
}

// Recover makes both copies of the header on the device equal again after a power cut in
// a change of keys, which left one of them damaged or behind the other; Open and all
// else reject such a header. A copy that is not right is never used. Of two that are
// right the one with the higher sequence number counts; two of one number, or of two
// volumes, are refused unless opts says which. What is used must be opened by key before
// anything is written. The store may be live meanwhile.
//
// A host can damage a copy, too, and so bring back the other, with a key slot that was
// being removed: this is for who knows of a power cut, never for every start of a guest.
func Recover(ctx context.Context, device string, key *Key, opts RecoverOptions) (Recovery, error) {
	var done Recovery
	read := func(dev *lockedHeader) error {
		var err error
		p := KeyOptions{ExpectUUID: opts.ExpectUUID}.profile()
		dev.Header, done.Copy, err = cryptsetup.RecoverFrom(dev.dev.File(), p, opts.Copy)
		return explainCopies(err)
	}
	err := withDevice(ctx, "recover", device, read, func(h *lockedHeader) error {
		volumeKey, _, err := h.unlock(ctx, key, cryptsetup.Authentication{MinEpoch: opts.ExpectEpoch, Fingerprint: opts.ExpectVolume})
		if err != nil {
			return err
		}
		defer volumeKey.Wipe()
		if done.Copy != cryptsetup.NewerCopy {
			if err := h.renew(ctx, volumeKey); err != nil {
				return err
			}
		}
		done.HeaderState, done.Slots, done.Header = headerState(h.Header, volumeKey), h.Keyslots(), h.Fingerprint()
		return nil
	})
	if err != nil {
		return Recovery{}, err
	}
	return done, nil
}

// renew writes a recovered header, in an epoch above that of the copy that was given up:
// of the change that was cut off, so higher by one at most.
func (h *lockedHeader) renew(ctx context.Context, key *cryptsetup.VolumeKey) error {
	if h.Epoch() > 0 {
		if err := h.Authenticate(key, h.Epoch()+1); err != nil {
			return err
		}
	}
	return h.write(ctx)
}

// explainCopies says what to do about two copies of which neither is the newer one.
func explainCopies(err error) error {
	if errors.Is(err, cryptsetup.ErrCopiesDiffer) {
		return refuse(ErrHeaderRejected, "no power cut leaves that: look at both with storage.Inspect; RecoverOptions.Copy says which counts", "%w", err)
	}
	return explainKeyHeader(err)
}

package storage

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// HeaderState is what the volume key says of the header of a persistent volume.
type HeaderState struct {
	// Volume tells this volume from every other one: the SHA-256 of a key derived from
	// the volume key. It is no secret, and the next [OpenOptions].ExpectVolume, whatever
	// happens to the keys.
	Volume [sha256.Size]byte
	// Epoch rises with every change of an authenticated header, and is the next
	// [OpenOptions].ExpectEpoch. 0: the header is not authenticated.
	Epoch uint64
}

func headerState(h *cryptsetup.Header, key *cryptsetup.VolumeKey) HeaderState {
	return HeaderState{Volume: key.Fingerprint(), Epoch: h.Epoch()}
}

// AuthenticateOptions are what [Authenticate] may be told.
type AuthenticateOptions struct {
	// Expect is what the header must be. With ExpectEpoch the new epoch is higher than
	// that, too.
	Expect KeyOptions
	// AcceptChanged takes a header whose token is not right, or of which ExpectEpoch
	// says that it had one: who gives it vouches for what the header says now.
	AcceptChanged bool
}

// Authentication is what [Authenticate] found or did.
type Authentication struct {
	HeaderState
	Renewed bool              // the header was written
	Slots   []Keyslot         // of the header, by number
	Header  [sha256.Size]byte // as in [KeyChange]
}

// Authenticate gives the header of the volume on the device a token that Open compares,
// once the key has opened the volume and before anything is mapped: an HMAC over all of
// the header, under a key derived from the volume key. [Create] does so with every volume
// that has a key; this is for volumes of before and of cryptsetup, and for a header that
// cryptsetup changed. A header whose token is right stays as it is.
//
// cryptsetup opens such a volume as ever, and keeps the token. When it changes a key slot
// or a label the token is not right any more, and Open refuses the volume until this is
// called with AcceptChanged.
//
// The store may be live meanwhile. key is the caller's to wipe.
func Authenticate(ctx context.Context, device string, key *Key, opts AuthenticateOptions) (Authentication, error) {
	var done Authentication
	err := withHeader(ctx, "authenticate", device, opts.Expect, func(h *lockedHeader) error {
		volumeKey, _, err := h.Unlock(ctx, key.bytes.Bytes())
		if err != nil {
			return err
		}
		defer volumeKey.Wipe()
		err = h.CheckAuthentic(volumeKey, opts.Expect.authentication())
		if err != nil && (!opts.AcceptChanged || !mayAccept(err)) {
			return explainAuthentic(err)
		}
		if renew := err != nil || h.Epoch() == 0; renew {
			if err := h.Authenticate(volumeKey, opts.Expect.ExpectEpoch); err != nil {
				return err
			}
			if err := h.write(ctx); err != nil {
				return err
			}
			done.Renewed = true
		}
		done.HeaderState, done.Slots, done.Header = headerState(h.Header, volumeKey), h.Keyslots(), h.Fingerprint()
		return nil
	})
	if err != nil {
		return Authentication{}, err
	}
	return done, nil
}

// mayAccept tells what a person can vouch for from what is the wrong volume or an old one.
func mayAccept(err error) bool {
	return errors.Is(err, cryptsetup.ErrHeaderChanged) || errors.Is(err, cryptsetup.ErrNotAuthenticated)
}

// explainAuthentic says what to do about a header that is not the one that was
// authenticated.
func explainAuthentic(err error) error {
	hint := ""
	switch {
	case errors.Is(err, cryptsetup.ErrHeaderChanged):
		hint = "if you changed it, as with cryptsetup luksAddKey: look at storage.Keys, then storage.Authenticate with AuthenticateOptions.AcceptChanged; if not, the host did: do not use it"
	case errors.Is(err, cryptsetup.ErrNotAuthenticated):
		hint = "if it never was: storage.Authenticate; if it was, the host has changed it: do not use it"
	case errors.Is(err, cryptsetup.ErrOldHeader):
		hint = "the host has put back an old header, perhaps with a key that was removed since: do not use it"
	default:
		return err
	}
	return refuse(ErrHeaderRejected, hint, "%w", err)
}

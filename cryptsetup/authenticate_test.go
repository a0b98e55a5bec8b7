package cryptsetup_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// newAuthenticated is newVolume with a token.
func newAuthenticated(t testing.TB, i cryptsetup.Integrity, passphrases ...string) (*device, *cryptsetup.Header, *cryptsetup.VolumeKey) {
	t.Helper()
	d, h, key := newVolume(t, i, passphrases...)
	renew(t, h, key, d)
	return d, h, key
}

func renew(t testing.TB, h *cryptsetup.Header, key *cryptsetup.VolumeKey, d *device) {
	t.Helper()
	require.NoError(t, h.Authenticate(key, 0))
	require.NoError(t, h.WriteSync(d))
}

// openAuthentic is what a caller does before it maps anything.
func openAuthentic(t testing.TB, device []byte, passphrase string, want cryptsetup.Authentication) error {
	t.Helper()
	h, err := cryptsetup.Read(bytes.NewReader(device), cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity})
	if err != nil {
		return err
	}
	key, _, err := h.Unlock(t.Context(), []byte(passphrase))
	if err != nil {
		return err
	}
	defer key.Wipe()
	return h.CheckAuthentic(key, want)
}

func TestAuthenticatedHeader(t *testing.T) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None} {
		d, h, key := newAuthenticated(t, i, "one", "two")
		require.EqualValues(t, 1, h.Epoch())
		right := cryptsetup.Authentication{Required: true, MinEpoch: 1, Fingerprint: key.Fingerprint()}
		require.NoError(t, openAuthentic(t, d.durable, "two", right))
		require.NoError(t, openAuthentic(t, d.durable, "one", cryptsetup.Authentication{}))
		for want, a := range map[error]cryptsetup.Authentication{
			cryptsetup.ErrOldHeader:   {MinEpoch: 2},
			cryptsetup.ErrOtherVolume: {Fingerprint: newKey(t, i).Fingerprint()},
		} {
			err := openAuthentic(t, d.durable, "one", a)
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
		}
		report := cryptsetup.Inspect(d.durable, cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity})
		require.EqualValues(t, 1, report.Epoch)
	}
}

func TestHeaderWithoutToken(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256, "one")
	require.Zero(t, h.Epoch())
	require.NoError(t, openAuthentic(t, d.durable, "one", cryptsetup.Authentication{Fingerprint: key.Fingerprint()}))
	for _, a := range []cryptsetup.Authentication{{Required: true}, {MinEpoch: 1}} {
		err := openAuthentic(t, d.durable, "one", a)
		require.ErrorIs(t, err, cryptsetup.ErrNotAuthenticated)
		require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
	}
}

// The epoch rises, also above what the caller knows of; the fingerprint of the volume
// stays; and no change is written without a new token.
func TestEveryChangeRenewsTheToken(t *testing.T) {
	d, h, key := newAuthenticated(t, cryptsetup.HMACSHA256, "one", "two")
	fingerprint := key.Fingerprint()
	changes := []func() error{
		func() error { _, err := h.AddKeyslot([]byte("three"), key, cheap); return err },
		func() error { return h.ChangeKeyslot(1, []byte("four"), key, cheap) },
		func() error { return h.RemoveKeyslot(0) },
	}
	for n, change := range changes {
		require.NoError(t, change())
		before := bytes.Clone(d.durable)
		require.ErrorIs(t, h.WriteSync(d), cryptsetup.ErrNotRenewed)
		require.Equal(t, before, d.durable)
		renew(t, h, key, d)
		require.EqualValues(t, n+2, h.Epoch())
		require.NoError(t, openAuthentic(t, d.durable, "three", cryptsetup.Authentication{MinEpoch: h.Epoch(), Fingerprint: fingerprint}))
	}
	require.NoError(t, h.Authenticate(key, 99))
	require.EqualValues(t, 100, h.Epoch())
	require.ErrorIs(t, h.Authenticate(newKey(t, cryptsetup.HMACSHA256), 0), cryptsetup.ErrVolumeKeyMismatch)
	require.Error(t, h.Authenticate(key, 1<<63-1), "the last one")
	require.EqualValues(t, 100, h.Epoch())
}

// A slot of a header without any can be counted too: nothing is left out.
func TestLastKeyslotOfAnAuthenticatedHeader(t *testing.T) {
	d, h, key := newAuthenticated(t, cryptsetup.HMACSHA256, "one")
	require.NoError(t, h.RemoveKeyslot(0))
	renew(t, h, key, d)
	got, err := cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	require.NoError(t, got.CheckAuthentic(key, cryptsetup.Authentication{MinEpoch: 2}))
}

// Vectors of another machine are right on this one.
func TestAuthenticatedVectorsOnEveryCPU(t *testing.T) {
	found := 0
	for _, v := range loadVectors(t, "good") {
		b := vectorDevice(t, v)
		h, err := cryptsetup.Read(bytes.NewReader(b), vectorProfile(t, v))
		require.NoError(t, err)
		if h.Epoch() == 0 || v.Area == "" {
			continue
		}
		found++
		require.NoError(t, openAuthentic(t, b, string(v.Key), cryptsetup.Authentication{MinEpoch: h.Epoch()}))
		b[len(b)-1] ^= 1
		require.ErrorIs(t, openAuthentic(t, b, string(v.Key), cryptsetup.Authentication{}), cryptsetup.ErrHeaderChanged)
	}
	require.Positive(t, found)
}

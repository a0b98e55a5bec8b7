package cryptsetup_test

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

func TestEightKeySlotsAndNoNinth(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256)
	for n := range cryptsetup.MaxKeyslots {
		id, err := h.AddKeyslot(fmt.Append(nil, "passphrase ", n), key, cheap)
		require.NoError(t, err)
		require.Equal(t, n, id)
	}
	_, err := h.AddKeyslot([]byte("ninth"), key, cheap)
	require.ErrorIs(t, err, cryptsetup.ErrKeyslotsFull)
	require.NoError(t, h.WriteSync(d))
	h, err = cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	requireOpens(t, h, "passphrase 7", key)
}

func TestRemovedKeySlotIsOverwrittenAndReused(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256, "zero", "one", "two")
	area := append([]byte(nil), d.durable[417792:417792+385024]...)
	require.NoError(t, h.RemoveKeyslot(1))
	require.ErrorIs(t, h.RemoveKeyslot(1), cryptsetup.ErrKeyslotNotFound)
	require.NoError(t, h.WriteSync(d))
	now := d.durable[417792 : 417792+385024]
	for i := 0; i < len(area); i += 4096 {
		require.NotEqual(t, area[i:i+4096], now[i:i+4096], "block %d of the removed slot is still there", i/4096)
	}
	h, err := cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	requireOpens(t, h, "zero", key)
	requireOpens(t, h, "two", key)
	_, _, err = h.Unlock(t.Context(), []byte("one"))
	require.ErrorIs(t, err, cryptsetup.ErrWrongKey)

	id, err := h.AddKeyslot([]byte("new"), key, cheap)
	require.NoError(t, err)
	require.Equal(t, 1, id)
	require.EqualValues(t, 417792, h.Keyslots()[1].Offset)
}

func TestPlaceOfARemovedSlotWaitsForTheWrite(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256, "old")
	require.NoError(t, h.RemoveKeyslot(0))
	id, err := h.AddKeyslot([]byte("new"), key, cheap)
	require.NoError(t, err)
	require.Zero(t, id)
	require.EqualValues(t, 417792, h.Keyslots()[0].Offset, "the only copy of the old slot would be overwritten")
	require.NoError(t, h.WriteSync(d))
	h, err = cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	requireOpens(t, h, "new", key)
}

func TestAddKeyslotWantsTheVolumeKey(t *testing.T) {
	_, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		_, err := h.AddKeyslot([]byte("two"), newKey(t, i), cheap)
		require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
	}
	_, err := h.AddKeyslot([]byte("two"), nil, cheap)
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
}

func TestAddKeyslotRefusesWhatReadWouldReject(t *testing.T) {
	_, h, key := newVolume(t, cryptsetup.HMACSHA256, "one")
	for _, k := range []cryptsetup.KDF{
		cryptsetup.PBKDF2{}, cryptsetup.PBKDF2{Iterations: 999}, cryptsetup.PBKDF2{Iterations: 10_000_001},
		cryptsetup.Argon2id{}, cryptsetup.Argon2id{Time: 0, MemoryKiB: 64, Threads: 1},
		cryptsetup.Argon2id{Time: 17, MemoryKiB: 64, Threads: 1}, cryptsetup.Argon2id{Time: 1, MemoryKiB: 31, Threads: 1},
		cryptsetup.Argon2id{Time: 1, MemoryKiB: 65537, Threads: 1}, cryptsetup.Argon2id{Time: 1, MemoryKiB: 64, Threads: 0},
		cryptsetup.Argon2id{Time: 1, MemoryKiB: 64, Threads: 5},
	} {
		_, err := h.AddKeyslot([]byte("two"), key, k)
		require.ErrorIs(t, err, cryptsetup.ErrKDFBounds, "%v", k)
	}
	require.Len(t, h.Keyslots(), 1)
}

// Only what nobody can guess is spared the cost of guessing: 32 bytes or more, and no
// text, however long.
func TestKDFForTellsRandomKeysFromText(t *testing.T) {
	for range 1000 {
		key := make([]byte, 32)
		_, _ = crand.Read(key)
		require.Equal(t, cryptsetup.RandomKeyKDF(), cryptsetup.KDFFor(key), "%x", key)
	}
	for _, random := range []string{strings.Repeat("\x00", 32), strings.Repeat("a", 31) + "\x00", strings.Repeat("a", 31) + "\xff",
		strings.Repeat("a", 31) + "\x1b", strings.Repeat("a", 31) + "\u0085"} {
		require.Equal(t, cryptsetup.RandomKeyKDF(), cryptsetup.KDFFor([]byte(random)), "%q", random)
	}
	for _, text := range []string{"", "a", strings.Repeat("\x00", 31), strings.Repeat("a", 32), strings.Repeat("a", 100_000),
		"correct horse battery staple, and one more", strings.Repeat("ab cd\tef\r\n", 4), strings.Repeat("Schlüssel ", 4), strings.Repeat("鍵", 11),
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="} {
		require.Equal(t, cryptsetup.PassphraseKDF(), cryptsetup.KDFFor([]byte(text)), "%q", text)
	}
}

func TestNoKDFMeansTheRightOne(t *testing.T) {
	_, h, key := newVolume(t, cryptsetup.HMACSHA256)
	_, err := h.AddKeyslot([]byte("a short one"), key, nil)
	require.NoError(t, err)
	require.Equal(t, cryptsetup.PassphraseKDF(), h.Keyslots()[0].KDF)
	requireOpens(t, h, "a short one", key)
}

func TestArgon2MemoryBoundIsTheCallers(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256)
	_, err := h.AddKeyslot([]byte("one"), key, cryptsetup.Argon2id{Time: 1, MemoryKiB: 2048, Threads: 2})
	require.NoError(t, err)
	require.NoError(t, h.WriteSync(d))

	_, err = cryptsetup.Read(d, cryptsetup.Profile{MaxArgon2Memory: 2047 << 10})
	require.Equal(t, []string{"keyslot.kdf.memory"}, rulesOf(t, err))
	require.ErrorContains(t, err, "Profile.MaxArgon2Memory")
	h, err = cryptsetup.Read(d, cryptsetup.Profile{MaxArgon2Memory: 2048 << 10})
	require.NoError(t, err)
	requireOpens(t, h, "one", key)
}

// Power fails at every step of a change, and leaves any part of what was not
// flushed. A passphrase that was good before and after the change, or one of
// the two when it was replaced, opens the volume then.
func TestPowerCutNeverLosesTheVolume(t *testing.T) {
	changes := map[string]struct {
		change func(h *cryptsetup.Header, key *cryptsetup.VolumeKey) error
		keys   []string // one of them must open
	}{
		"add": {func(h *cryptsetup.Header, key *cryptsetup.VolumeKey) error {
			_, err := h.AddKeyslot([]byte("new"), key, cheap)
			return err
		}, []string{"old"}},
		"remove": {func(h *cryptsetup.Header, _ *cryptsetup.VolumeKey) error { return h.RemoveKeyslot(0) }, []string{"other"}},
		"replace": {func(h *cryptsetup.Header, key *cryptsetup.VolumeKey) error {
			if err := h.RemoveKeyslot(1); err != nil {
				return err
			}
			if err := h.RemoveKeyslot(0); err != nil {
				return err
			}
			_, err := h.AddKeyslot([]byte("new"), key, cheap)
			return err
		}, []string{"old", "new"}},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			before, _, key := newVolume(t, cryptsetup.HMACSHA256, "old", "other")
			torn := 0
			for n := 0; ; n++ {
				d := &device{t: t, durable: before.durable, powerAt: n}
				h, err := cryptsetup.Read(d, cryptsetup.Profile{})
				require.NoError(t, err)
				require.NoError(t, c.change(h, key))
				done := h.WriteSync(d) == nil
				for range 4 {
					torn += afterPowerCut(t, d.powerCut(r), key, c.keys)
				}
				if done {
					break
				}
			}
			require.Positive(t, torn, "no power cut tore the header: this test shows nothing")
		})
	}
}

// afterPowerCut returns 1 when the header was torn.
func afterPowerCut(t *testing.T, d *device, key *cryptsetup.VolumeKey, keys []string) (torn int) {
	t.Helper()
	h, err := cryptsetup.Read(d, cryptsetup.Profile{})
	if err != nil {
		require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
		require.NotErrorIs(t, err, cryptsetup.ErrNoHeader)
		torn = 1
		left := append([]byte(nil), d.durable...)
		h, err = cryptsetup.Recover(d, cryptsetup.Profile{})
		require.NoError(t, err)
		require.Equal(t, left, d.durable, "Recover wrote")
		require.NoError(t, h.WriteSync(d))
		h, err = cryptsetup.Read(d, cryptsetup.Profile{})
		require.NoError(t, err)
	}
	for _, k := range keys {
		got, _, err := h.Unlock(t.Context(), []byte(k))
		if err == nil {
			require.Equal(t, key.Bytes(), got.Bytes())
			got.Wipe()
			return torn
		}
	}
	t.Fatal("the volume is lost")
	return torn
}

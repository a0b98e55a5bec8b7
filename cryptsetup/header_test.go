package cryptsetup_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

const regionSize = 32768 + 8*385024

// cheap is the fastest derivation that the profile allows.
var cheap = cryptsetup.RandomKeyKDF()

func newKey(t testing.TB, i cryptsetup.Integrity) *cryptsetup.VolumeKey {
	t.Helper()
	key, err := cryptsetup.NewVolumeKey(i)
	require.NoError(t, err)
	t.Cleanup(key.Wipe)
	return key
}

// newVolume returns a device with a header that these passphrases open.
func newVolume(t testing.TB, i cryptsetup.Integrity, passphrases ...string) (*device, *cryptsetup.Header, *cryptsetup.VolumeKey) {
	t.Helper()
	key := newKey(t, i)
	h, err := cryptsetup.New(key, cryptsetup.Options{Integrity: i})
	require.NoError(t, err)
	for _, p := range passphrases {
		_, err := h.AddKeyslot([]byte(p), key, cheap)
		require.NoError(t, err)
	}
	d := newDevice(t, regionSize+8192)
	require.NoError(t, h.WriteSync(d))
	d.all = nil
	return d, h, key
}

func requireOpens(t testing.TB, h *cryptsetup.Header, passphrase string, want *cryptsetup.VolumeKey) {
	t.Helper()
	key, _, err := h.Unlock(t.Context(), []byte(passphrase))
	require.NoError(t, err)
	defer key.Wipe()
	require.True(t, bytes.Equal(want.Bytes(), key.Bytes()), "another volume key")
	require.Equal(t, h.Integrity(), key.Integrity())
}

func TestWriteReadUnlock(t *testing.T) {
	for _, i := range []cryptsetup.Integrity{cryptsetup.HMACSHA256, cryptsetup.None, cryptsetup.AEAD} {
		t.Run(i.String(), func(t *testing.T) {
			d, written, key := newVolume(t, i, "one", "two")
			h, err := cryptsetup.Read(d, cryptsetup.Profile{Integrity: cryptsetup.Require(i), ExpectUUID: written.UUID()})
			require.NoError(t, err)
			require.Equal(t, 1, d.reads, "more than one read")
			require.Equal(t, written.UUID(), h.UUID())
			require.Equal(t, written.SeqID(), h.SeqID())
			require.Equal(t, written.Fingerprint(), h.Fingerprint())
			require.Equal(t, sha256.Sum256(d.durable[:32768]), h.Fingerprint())
			require.Equal(t, i, h.Integrity())
			require.Len(t, h.Keyslots(), 2)
			require.Equal(t, cheap, h.Keyslots()[1].KDF)
			for slot, p := range []string{"one", "two"} {
				got, opened, err := h.Unlock(t.Context(), []byte(p))
				require.NoError(t, err)
				require.Equal(t, slot, opened)
				require.Equal(t, key.Bytes(), got.Bytes())
				got.Wipe()
			}
			require.Equal(t, 1, d.reads, "unlocking read the device again")
		})
	}
}

func TestHeaderWithoutKeySlots(t *testing.T) {
	d, _, _ := newVolume(t, cryptsetup.HMACSHA256)
	h, err := cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	_, _, err = h.Unlock(t.Context(), []byte("any"))
	require.ErrorIs(t, err, cryptsetup.ErrNoKeyslots)
	require.ErrorIs(t, err, cryptsetup.ErrWrongKey)
}

func TestWrongKeyNamesWhatWasTried(t *testing.T) {
	_, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one", "two", "three")
	require.NoError(t, h.RemoveKeyslot(1))
	_, _, err := h.Unlock(t.Context(), []byte("two"))
	var wrong *cryptsetup.WrongKeyError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, []int{0, 2}, wrong.Tried)
	require.ErrorIs(t, err, cryptsetup.ErrWrongKey)
	require.NotErrorIs(t, err, cryptsetup.ErrNoKeyslots)
	require.NotErrorIs(t, err, cryptsetup.ErrHeaderRejected)
	require.EqualError(t, err, "wrong key: tried key slots [0 2]")
}

func TestEmptyPassphraseIsRefused(t *testing.T) {
	_, h, key := newVolume(t, cryptsetup.HMACSHA256, "one")
	for _, empty := range [][]byte{nil, {}} {
		_, _, err := h.Unlock(t.Context(), empty)
		require.ErrorIs(t, err, cryptsetup.ErrEmptyPassphrase)
		_, err = h.AddKeyslot(empty, key, cheap)
		require.ErrorIs(t, err, cryptsetup.ErrEmptyPassphrase)
	}
	require.Len(t, h.Keyslots(), 1)
}

func TestNewWantsTheRightKey(t *testing.T) {
	key := newKey(t, cryptsetup.None)
	_, err := cryptsetup.New(key, cryptsetup.Options{})
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
	_, err = cryptsetup.New(key, cryptsetup.Options{Integrity: 7})
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
	key.Wipe()
	_, err = cryptsetup.New(key, cryptsetup.Options{Integrity: cryptsetup.None})
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
	_, err = cryptsetup.New(nil, cryptsetup.Options{})
	require.ErrorIs(t, err, cryptsetup.ErrVolumeKeyMismatch)
}

func TestNewTakesAUUID(t *testing.T) {
	key, id := newKey(t, cryptsetup.HMACSHA256), uuid.MustParse("0f9b4f4e-1d55-4c69-8c5b-0d5b7f0c2a11")
	h, err := cryptsetup.New(key, cryptsetup.Options{UUID: id})
	require.NoError(t, err)
	d := newDevice(t, 1<<20)
	require.NoError(t, h.Write(d))
	_, err = cryptsetup.Read(d, cryptsetup.Profile{ExpectUUID: id})
	require.NoError(t, err)
	_, err = cryptsetup.Read(d, cryptsetup.Profile{ExpectUUID: uuid.New()})
	require.Equal(t, []string{"profile.uuid"}, rulesOf(t, err))
}

// An old header of the same volume is as good as the newest, but for its digest.
func TestReadOfAPinnedHeader(t *testing.T) {
	d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	old := slices.Clone(d.durable)
	pinned := cryptsetup.Profile{ExpectFingerprint: h.Fingerprint()}
	_, err := cryptsetup.Read(d, pinned)
	require.NoError(t, err)
	require.NoError(t, h.RemoveKeyslot(0))
	require.NoError(t, h.WriteSync(d))
	_, err = cryptsetup.Read(d, pinned)
	require.Equal(t, []string{cryptsetup.RuleFingerprint}, rulesOf(t, err))

	pinned.ExpectFingerprint = h.Fingerprint()
	_, err = cryptsetup.Read(d, pinned)
	require.NoError(t, err)
	d.durable = old
	_, err = cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err, "the premise")
	_, err = cryptsetup.Read(d, pinned)
	require.Equal(t, []string{cryptsetup.RuleFingerprint}, rulesOf(t, err))
	require.False(t, cryptsetup.Inspect(old, pinned).Accepted)

	d.durable[4200] ^= 1 // one good copy is left
	_, err = cryptsetup.Recover(d, pinned)
	require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected, "what is recovered is never what was pinned")
}

func TestWriteTouchesOnlyWhatItShould(t *testing.T) {
	_, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one", "two")
	d := newDevice(t, regionSize)
	require.NoError(t, h.Write(d))
	var got [][2]int64
	for _, w := range d.all {
		got = append(got, [2]int64{w.at, int64(len(w.bytes))})
	}
	require.Equal(t, [][2]int64{{32768, 385024}, {417792, 385024}, {4096, 12288}, {0, 4096}, {20480, 12288}, {16384, 4096}}, got)
}

func TestEveryChangeHasItsOwnNumberAndSalts(t *testing.T) {
	d, h, key := newVolume(t, cryptsetup.HMACSHA256, "one")
	before := append([]byte(nil), d.durable[:32768]...)
	first := h.SeqID()
	_, err := h.AddKeyslot([]byte("two"), key, cheap)
	require.NoError(t, err)
	require.Equal(t, first+1, h.SeqID())
	require.NoError(t, h.WriteSync(d))
	for _, salt := range []int{104, 16384 + 104} {
		require.NotEqual(t, before[salt:salt+64], d.durable[salt:salt+64])
	}
	require.NotEqual(t, d.durable[104:168], d.durable[16384+104:16384+168], "both copies have one salt")

	after := append([]byte(nil), d.durable...)
	require.NoError(t, h.WriteSync(d))
	require.Equal(t, after, d.durable, "writing again, unchanged, changes something")
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("medium error")
	_, err := cryptsetup.Read(failingReader{broken}, cryptsetup.Profile{})
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, cryptsetup.ErrHeaderRejected)

	_, err = cryptsetup.Read(bytes.NewReader(nil), cryptsetup.Profile{})
	require.ErrorIs(t, err, cryptsetup.ErrNoHeader)
	_, err = cryptsetup.Read(bytes.NewReader(make([]byte, 4<<20)), cryptsetup.Profile{})
	require.ErrorIs(t, err, cryptsetup.ErrNoHeader)
	require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
}

type failingReader struct{ err error }

func (f failingReader) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestWriteErrors(t *testing.T) {
	_, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one", "two")
	require.NoError(t, h.RemoveKeyslot(1))
	for n := range 10 { // 6 writes, 4 flushes
		d := newDevice(t, regionSize)
		d.powerAt = n
		require.ErrorIs(t, h.WriteSync(d), errPower, "step %d", n)
	}
	d := newDevice(t, regionSize)
	d.powerAt = 10
	require.NoError(t, h.WriteSync(d))
}

func TestDirectIO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("the file system of the temporary directory has no O_DIRECT")
	}
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(16<<20))
	key := newKey(t, cryptsetup.HMACSHA256)
	h, err := cryptsetup.New(key, cryptsetup.Options{})
	require.NoError(t, err)
	_, err = h.AddKeyslot([]byte("one"), key, cheap)
	require.NoError(t, err)
	require.NoError(t, h.WriteSync(f))
	h, err = cryptsetup.Read(f, cryptsetup.Profile{})
	require.NoError(t, err)
	requireOpens(t, h, "one", key)
}

// A device that answers differently the second time: the second answer must
// never be asked for.
func TestOneReadDecides(t *testing.T) {
	d, _, key := newVolume(t, cryptsetup.HMACSHA256, "one")
	h, err := cryptsetup.Read(&changingReader{first: d}, cryptsetup.Profile{})
	require.NoError(t, err)
	requireOpens(t, h, "one", key)
}

type changingReader struct {
	first io.ReaderAt
	asked bool
}

func (c *changingReader) ReadAt(b []byte, at int64) (int, error) {
	if c.asked {
		return 0, errors.New("asked twice")
	}
	c.asked = true
	return c.first.ReadAt(b, at)
}

package cryptsetup_test

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// journal notes what is written, and between which flushes.
type journal struct {
	*device
	epochs [][]write
}

func (j *journal) WriteAt(b []byte, at int64) (int, error) {
	last := len(j.epochs) - 1
	j.epochs[last] = append(j.epochs[last], write{at, bytes.Clone(b)})
	return j.device.WriteAt(b, at)
}

func (j *journal) Sync() error {
	j.epochs = append(j.epochs, nil)
	return j.device.Sync()
}

// torn splits writes into what a disk writes in one piece.
func torn(writes []write, piece int) (pieces []write) {
	for _, w := range writes {
		for i := 0; i < len(w.bytes); i += piece {
			pieces = append(pieces, write{w.at + int64(i), w.bytes[i : i+piece]})
		}
	}
	return pieces
}

// cuts calls use with what a device may hold when power fails: everything of the
// flushes before, and of what was written since a beginning, an end, or any part, torn
// at 512 or 4096 bytes. Each write of the headers is cut everywhere; of the areas, which
// are long, that takes minutes.
func (j *journal) cuts(before []byte, each func(left []byte)) {
	seed, seen := maphash.MakeSeed(), map[uint64]bool{}
	use := func(left []byte) { // most of a header is the same before and after
		if sum := maphash.Bytes(seed, left); !seen[sum] {
			seen[sum] = true
			each(left)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	flushed := bytes.Clone(before)
	for _, writes := range j.epochs {
		for _, piece := range []int{512, 4096} {
			pieces := torn(writes, piece)
			step := 1
			if len(pieces) > 2*32 && os.Getenv("TRUSTED_STORE_SOAK") == "" {
				step = len(pieces)/3 + 1
			}
			for n := 0; n < len(pieces); n += step {
				use(applied(flushed, pieces[:n]))
				use(applied(flushed, pieces[n:]))
				if n%4 == 0 {
					random := slices.Clone(pieces)
					r.Shuffle(len(random), func(i, k int) { random[i], random[k] = random[k], random[i] })
					use(applied(flushed, random[:n]))
				}
			}
		}
		flushed = applied(flushed, writes)
	}
	use(flushed)
}

func applied(to []byte, writes []write) []byte {
	out := bytes.Clone(to)
	for _, w := range writes {
		copy(out[w.at:], w.bytes)
	}
	return out
}

// A key is exchanged, and power fails at any write. The old or the new key opens the
// volume then, never both, never neither; one that was removed before never does. The
// next change leaves nothing of the key slot that is gone.
func TestPowerCutInAChangeOfKey(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	d, h, key := newAuthenticated(t, cryptsetup.HMACSHA256, "gone", "old", "other")
	gone := bytes.Clone(areaOf(d.durable, h.Keyslots()[0]))
	require.NoError(t, h.RemoveKeyslot(0))
	renew(t, h, key, d)
	h, err := cryptsetup.Read(d, cryptsetup.Profile{})
	require.NoError(t, err)
	before := bytes.Clone(d.durable)
	oldArea := bytes.Clone(areaOf(before, h.Keyslots()[0]))

	j := &journal{device: d, epochs: make([][]write, 1)}
	require.NoError(t, h.ChangeKeyslot(1, []byte("new"), key, cheap))
	require.NoError(t, h.Authenticate(key, 0))
	require.NoError(t, h.WriteSync(j))
	require.Equal(t, []int{1, 2}, []int{h.Keyslots()[0].ID, h.Keyslots()[1].ID}, "the number stays")
	newArea := bytes.Clone(areaOf(d.durable, h.Keyslots()[0]))

	count := map[string]int{}
	j.cuts(before, func(left []byte) {
		d := &device{t: t, durable: left, powerAt: -1}
		h, rejected := cryptsetup.Read(d, cryptsetup.Profile{})
		if rejected != nil {
			count["torn"]++
			var err error
			h, err = cryptsetup.Recover(d, cryptsetup.Profile{})
			require.NoError(t, err)
		}
		require.False(t, opens(t, h, "gone"))
		requireOpens(t, h, "other", key)
		isOld, isNew := opens(t, h, "old"), opens(t, h, "new")
		require.NotEqual(t, isOld, isNew, "either opens, and only one")
		forgotten := [][]byte{gone, oldArea}
		if isOld {
			count["old"]++
			forgotten[1] = newArea
		} else {
			count["new"]++
		}
		require.NoError(t, h.CheckAuthentic(key, cryptsetup.Authentication{MinEpoch: 2}))
		require.NoError(t, h.RemoveKeyslot(2)) // takes no place of another
		renew(t, h, key, d)
		for _, area := range forgotten {
			requireNothingOf(t, d.durable, area)
		}
	})
	require.Positive(t, count["torn"], "no cut tore the header: this test shows nothing")
	require.Positive(t, count["old"])
	require.Positive(t, count["new"])
	t.Log(count)
}

func areaOf(device []byte, s cryptsetup.Keyslot) []byte { return device[s.Offset : s.Offset+s.Size] }

func opens(t *testing.T, h *cryptsetup.Header, passphrase string) bool {
	t.Helper()
	key, _, err := h.Unlock(t.Context(), []byte(passphrase))
	key.Wipe()
	if err != nil {
		require.ErrorIs(t, err, cryptsetup.ErrWrongKey)
	}
	return err == nil
}

// requireNothingOf looks for the blocks of an area in all of its possible places.
func requireNothingOf(t *testing.T, device, area []byte) {
	t.Helper()
	const start = 32768
	for place := start; place+len(area) <= regionSize; place += len(area) {
		for i := 0; i < len(area); i += 4096 {
			require.False(t, bytes.Equal(device[place+i:place+i+4096], area[i:i+4096]), "block %d of a key slot that is gone is at byte %d", i/4096, place)
		}
	}
}

func TestChangeKeyslotErrors(t *testing.T) {
	_, h, key := newVolume(t, cryptsetup.HMACSHA256, "0", "1", "2", "3", "4", "5", "6", "7")
	require.ErrorIs(t, h.ChangeKeyslot(3, []byte("new"), key, cheap), cryptsetup.ErrKeyslotsFull)
	require.NoError(t, h.RemoveKeyslot(7))
	require.ErrorIs(t, h.ChangeKeyslot(3, []byte("new"), key, cheap), cryptsetup.ErrKeyslotsFull, "its place may be needed still")
	require.ErrorIs(t, h.ChangeKeyslot(7, []byte("new"), key, cheap), cryptsetup.ErrKeyslotNotFound)
	require.True(t, opens(t, h, "3"))

	_, h, key = newVolume(t, cryptsetup.HMACSHA256, "0")
	require.ErrorIs(t, h.ChangeKeyslot(0, nil, key, cheap), cryptsetup.ErrEmptyPassphrase)
	require.ErrorIs(t, h.ChangeKeyslot(0, []byte("new"), newKey(t, cryptsetup.HMACSHA256), cheap), cryptsetup.ErrVolumeKeyMismatch)
	require.ErrorIs(t, h.ChangeKeyslot(0, []byte("new"), key, cryptsetup.PBKDF2{}), cryptsetup.ErrKDFBounds)
	require.True(t, opens(t, h, "0"), "nothing changed")
}

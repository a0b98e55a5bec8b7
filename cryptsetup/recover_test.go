package cryptsetup_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

func TestRecoverReturnsAGoodHeaderAsItIs(t *testing.T) {
	d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	got, err := cryptsetup.Recover(d, cryptsetup.Profile{})
	require.NoError(t, err)
	require.Equal(t, h.Fingerprint(), got.Fingerprint())
}

func TestRecoverUsesTheCopyThatIsLeft(t *testing.T) {
	for _, at := range []int{0, 7, 4100, 16384, 16391, 20500} {
		d, h, key := newVolume(t, cryptsetup.HMACSHA256, "one")
		d.durable[at] ^= 1
		_, err := cryptsetup.Read(d, cryptsetup.Profile{})
		require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected, "byte %d", at)
		got, err := cryptsetup.Recover(d, cryptsetup.Profile{})
		require.NoError(t, err, "byte %d", at)
		require.Equal(t, h.SeqID()+1, got.SeqID())
		require.Equal(t, h.UUID(), got.UUID())
		requireOpens(t, got, "one", key)
	}
}

// Of two good copies the newer one counts, whichever place it is in: in the
// older one a key slot is listed that was removed since.
func TestRecoverUsesTheNewerCopy(t *testing.T) {
	for newer := range 2 {
		d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one", "two")
		older := append([]byte(nil), d.durable[:32768]...)
		require.NoError(t, h.RemoveKeyslot(1))
		require.NoError(t, h.WriteSync(d))
		at := (1 - newer) * 16384
		copy(d.durable[at:at+16384], older[at:])
		_, err := cryptsetup.Read(d, cryptsetup.Profile{})
		require.Equal(t, []string{"copies.json", "copies.seqid"}, rulesOf(t, err))
		got, err := cryptsetup.Recover(d, cryptsetup.Profile{})
		require.NoError(t, err)
		require.Len(t, got.Keyslots(), 1)
		require.Equal(t, h.SeqID()+1, got.SeqID())
	}
}

func TestRecoverRefuses(t *testing.T) {
	d, _, _ := newVolume(t, cryptsetup.HMACSHA256, "one")
	d.durable[4100] ^= 1
	d.durable[20500] ^= 1
	_, err := cryptsetup.Recover(d, cryptsetup.Profile{})
	require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
}

// Two good copies of different volumes, or of one number with different
// contents, are not what a power cut leaves.
func TestRecoverRefusesCopiesThatDoNotBelongTogether(t *testing.T) {
	same, other := uuid.New(), uuid.New()
	for name, c := range map[string]struct {
		second uuid.UUID
		slots  int
	}{
		"other volume, newer": {other, 1},
		"same number":         {same, 0},
	} {
		var images [2]*device
		for n, id := range []uuid.UUID{same, c.second} {
			key := newKey(t, cryptsetup.HMACSHA256)
			h, err := cryptsetup.New(key, cryptsetup.Options{UUID: id})
			require.NoError(t, err)
			for range n * c.slots {
				_, err := h.AddKeyslot([]byte("one"), key, cheap)
				require.NoError(t, err)
			}
			images[n] = newDevice(t, regionSize)
			require.NoError(t, h.WriteSync(images[n]))
		}
		copy(images[0].durable[16384:], images[1].durable[16384:])
		_, err := cryptsetup.Recover(images[0], cryptsetup.Profile{})
		require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected, name)
		require.ErrorIs(t, err, cryptsetup.ErrCopiesDiffer, name)
		for n, choice := range []cryptsetup.CopyChoice{cryptsetup.FirstCopy, cryptsetup.SecondCopy} {
			h, used, err := cryptsetup.RecoverFrom(images[0], cryptsetup.Profile{}, choice)
			require.NoError(t, err, name)
			require.Equal(t, choice, used)
			require.Len(t, h.Keyslots(), n*c.slots)
			require.Equal(t, []uuid.UUID{same, c.second}[n], h.UUID())
		}
	}
}

// Who says which copy gets that one or none, and a number above that of both.
func TestRecoverFromTheCopyThatIsSaid(t *testing.T) {
	d, h, _ := newVolume(t, cryptsetup.HMACSHA256, "one", "two")
	older := append([]byte(nil), d.durable[:32768]...)
	require.NoError(t, h.RemoveKeyslot(1))
	require.NoError(t, h.WriteSync(d))
	_, used, err := cryptsetup.RecoverFrom(d, cryptsetup.Profile{}, cryptsetup.SecondCopy)
	require.NoError(t, err)
	require.Equal(t, cryptsetup.NewerCopy, used, "nothing to choose from")

	copy(d.durable[16384:], older[16384:])
	old, used, err := cryptsetup.RecoverFrom(d, cryptsetup.Profile{}, cryptsetup.SecondCopy)
	require.NoError(t, err)
	require.Equal(t, cryptsetup.SecondCopy, used)
	require.Len(t, old.Keyslots(), 2)
	require.Equal(t, h.SeqID()+1, old.SeqID())

	d.durable[16384+4100] ^= 1
	_, _, err = cryptsetup.RecoverFrom(d, cryptsetup.Profile{}, cryptsetup.SecondCopy)
	require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
	require.NotErrorIs(t, err, cryptsetup.ErrCopiesDiffer)
	require.Equal(t, "second copy", used.String())
}

// Recover accepts nothing in a copy that Read would not.
func TestRecoverKeepsTheProfile(t *testing.T) {
	for _, v := range loadVectors(t, "hostile") {
		b := vectorDevice(t, v)
		d := newDevice(t, regionSize)
		copy(d.durable, b)
		if len(b) < 32768 {
			d.durable = b
		}
		h, err := cryptsetup.Recover(d, vectorProfile(t, v))
		if err != nil {
			require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected, v.Name)
			continue
		}
		fresh := newDevice(t, regionSize)
		require.NoError(t, h.Write(fresh), v.Name)
		_, err = cryptsetup.Read(fresh, vectorProfile(t, v))
		require.NoError(t, err, v.Name)
	}
}

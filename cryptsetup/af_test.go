package cryptsetup

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSplitKeyComesBackOnlyWhole(t *testing.T) {
	for _, size := range []int{64, 96} {
		key := make([]byte, size)
		_, _ = rand.Read(key)
		split := make([]byte, afStripes*size)
		require.NoError(t, afSplit(split, key))
		require.NotContains(t, string(split), string(key[:16]), "the key itself is in the split")

		got := make([]byte, size)
		afMerge(got, split)
		require.Equal(t, key, got)

		for _, at := range []int{0, size, len(split) / 2, len(split) - size - 1} {
			split[at] ^= 1
			afMerge(got, split)
			require.NotEqual(t, key, got, "one bit at byte %d does not matter", at)
			split[at] ^= 1
		}
	}
}

func TestSplitsOfOneKeyDiffer(t *testing.T) {
	key := make([]byte, 64)
	a, b := make([]byte, afStripes*64), make([]byte, afStripes*64)
	require.NoError(t, afSplit(a, key))
	require.NoError(t, afSplit(b, key))
	require.False(t, bytes.Equal(a, b))
}

func TestAreaOpensWithItsKeyOnly(t *testing.T) {
	volumeKey, slotKey := make([]byte, 96), make([]byte, areaKeySize)
	_, _ = rand.Read(volumeKey)
	_, _ = rand.Read(slotKey)
	area, err := sealArea(slotKey, volumeKey, areaSizeHMAC)
	require.NoError(t, err)
	require.Len(t, area, areaSizeHMAC)
	require.NotEqual(t, make([]byte, 1024), area[len(area)-1024:], "what the split does not fill is zero")

	got := make([]byte, 96)
	require.NoError(t, openArea(got, slotKey, area))
	require.Equal(t, volumeKey, got)
	slotKey[63] ^= 1
	require.NoError(t, openArea(got, slotKey, area))
	require.NotEqual(t, volumeKey, got)
}

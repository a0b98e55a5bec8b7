package mkfs_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

// The sizes on the way depend on nothing but the device and the geometry, always
// advance in whole groups, and are few.
func TestGrowthSchedule(t *testing.T) {
	for _, c := range []struct {
		device  uint64
		maximum int
	}{
		{600 * mib, 1}, {gib, 5}, {2500 * mib, 11}, {56 * gib, 70}, {64 * gib, 77}, {tib, 85}, {15 * tib, 85}, {64 * tib, 90},
	} {
		l, err := mkfs.Plan(c.device, mkfs.Options{Size: 512 * mib, GrowTo: c.device})
		require.NoError(t, err)
		g := l.Geometry().Growth(c.device)
		require.LessOrEqual(t, g.Target, c.device)
		require.Greater(t, g.Target+16*mib, c.device)
		steps := 0
		for size, more := g.Next(l.Size()); more; size, more = g.Next(size) {
			steps++
			before, _ := g.Next(size - mkfs.BlockSize)
			require.Equal(t, size, before, "whoever is just below goes there")
			between, _ := g.Next(size - 128*mib)
			require.LessOrEqual(t, between, size)
			require.True(t, size%(128*mib) == 0 || size == g.Target)
			grown := l.Geometry()
			grown.Blocks = size / mkfs.BlockSize
			require.Equal(t, g, grown.Growth(c.device), "the same on the way")
		}
		require.LessOrEqual(t, steps, c.maximum, "%d GiB", c.device/gib)
		t.Logf("%d GiB: %d steps, the longest %d GiB", c.device/gib, steps, g.Step/gib)
		_, more := g.Next(g.Target)
		require.False(t, more)
	}
}

// writes collects where a device is written.
type writes map[int64]int

func (w writes) WriteAt(b []byte, at int64) (int, error) {
	w[at] = len(b)
	return len(b), nil
}

// What is written is the last block of each size, and beyond the reserve the first
// of each 64th group, which is where a size can end.
func TestPrepareGrowth(t *testing.T) {
	l, err := mkfs.Plan(32*gib, mkfs.Options{Size: 4 * gib, GrowTo: 16 * gib, BytesPerInode: mib})
	require.NoError(t, err)
	written := writes{}
	require.NoError(t, l.PrepareGrowth(t.Context(), &oneAtATime{WriterAt: written}, mkfs.Growth{Step: 8 * gib, Target: 30 * gib}))
	require.Equal(t, writes{
		8*gib - 4096:  4096,
		16*gib - 4096: 4096,
		16 * gib:      4096,
		24*gib - 4096: 4096,
		24 * gib:      4096,
		30*gib - 4096: 4096,
	}, written)
}

func TestReadGeometry(t *testing.T) {
	_, err := mkfs.ReadGeometry(bytes.NewReader(make([]byte, 4096)))
	require.ErrorIs(t, err, mkfs.ErrForeign)
	_, err = mkfs.ReadGeometry(bytes.NewReader(make([]byte, 100)))
	var op *mkfs.OpError
	require.ErrorAs(t, err, &op)
}

// Few blocks are to be written before the mount at every size up to 16 TiB.
func TestPrepareGrowthIsShort(t *testing.T) {
	for _, device := range []uint64{tib, 8 * tib, 9 * tib, 15 * tib, 16*tib - mkfs.BlockSize} {
		l, err := mkfs.Plan(device, mkfs.Options{Size: 512 * mib, GrowTo: device})
		require.NoError(t, err)
		written := writes{}
		require.NoError(t, l.PrepareGrowth(t.Context(), &oneAtATime{WriterAt: written}, l.Geometry().Growth(device)))
		require.Less(t, len(written), 100, "%d TiB", device/tib)
	}
}

package mkfs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Within is what Plan says of the sizes: the metadata is no more than the budget, and
// one group later it is.
func TestWithin(t *testing.T) {
	const budget = 2500 << 10
	for _, device := range []uint64{10 << 30, 100 << 30, 2900 << 30, 15 << 40} {
		for _, o := range []Options{{}, {BytesPerInode: 163840, InodeSize: 128}, {BytesPerInode: 1 << 20}} {
			o.GrowTo, o.Size = device, groupBytes
			l, err := Plan(device, o)
			require.NoError(t, err)
			within := l.Geometry().Within(device, budget)
			tables := func(size uint64) uint64 {
				o.Size = size
				l, err := Plan(device, o)
				require.NoError(t, err)
				return l.MetadataBytes
			}
			const bitmaps = 3 << 12 // of each group, and blocks of which there is one
			if within > 0 {
				require.LessOrEqual(t, tables(within), uint64(budget)+(within/groupBytes+8)*bitmaps)
			}
			require.Greater(t, tables(within+groupBytes), uint64(budget)*95/100, "device of %d GiB, %+v, %d MiB", device>>30, o, within>>20)
		}
	}
}

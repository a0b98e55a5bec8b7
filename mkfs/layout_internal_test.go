package mkfs

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzPlan checks that any size and options give a layout without contradictions, or an error that says what to do.
func FuzzPlan(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint64(0), false, false)
	f.Add(uint64(MinSize), uint64(0), uint64(0), false, false)
	f.Add(uint64(2500<<20), uint64(15<<40), uint64(4096), true, true)
	f.Add(uint64(129<<20), uint64(1<<40), uint64(1024), true, false)
	f.Add(uint64(8<<30+4096), uint64(0), uint64(1<<26), false, true)
	f.Add(uint64(1<<40), uint64(18<<40), uint64(0), true, false)
	f.Fuzz(func(t *testing.T, size, growTo, perInode uint64, journal, small bool) {
		size %= 8 << 40
		o := Options{GrowTo: growTo, BytesPerInode: perInode, Journal: journal}
		if small {
			o.InodeSize = 128
		}
		l, err := Plan(size, o)
		if err != nil {
			requireUsefulError(t, err, o)
			return
		}
		require.LessOrEqual(t, l.Size(), size)
		requireConsistent(t, l)
	})
}

// requireUsefulError checks that a too small size gives the truth about the least that would do.
func requireUsefulError(t *testing.T, err error, o Options) {
	t.Helper()
	var sizes *SizeError
	if !errors.As(err, &sizes) {
		require.ErrorIs(t, err, ErrBadOption)
		return
	}
	require.ErrorIs(t, err, ErrTooSmall)
	if o.GrowTo > 0 && o.GrowTo < sizes.Limit {
		return // no size at all would do
	}
	l, err := Plan(sizes.Limit, o)
	require.NoError(t, err)
	requireConsistent(t, l)
	_, err = Plan(sizes.Limit-BlockSize, o)
	require.Error(t, err)
}

func requireConsistent(t *testing.T, l *Layout) {
	t.Helper()
	require.Equal(t, ceilDiv(l.Blocks, blocksPerGroup), l.Groups)
	require.Equal(t, l.Groups*l.InodesPerGroup, l.Inodes)
	require.Zero(t, l.InodesPerGroup%8)
	require.Equal(t, l.InodeTableBlocks*BlockSize, l.InodesPerGroup*uint64(l.InodeSize))
	require.LessOrEqual(t, l.ReservedDescriptorBlocks, uint64(maxReserved))
	require.GreaterOrEqual(t, l.DescriptorBlocks*descriptorsPerBlock, l.Groups)

	var flex flexGroup
	var used, free, journal uint64
	for first := uint64(0); first < l.Groups; first += groupsPerFlex {
		require.NoError(t, l.flex(first, &flex))
		used += requireOrdered(t, l, &flex)
		for _, n := range flex.free[:flex.groups] {
			free += n
		}
		for _, s := range flex.journal {
			journal += s.count
		}
	}
	require.Equal(t, l.Blocks, used+free)
	require.Equal(t, l.FreeBlocks, free)
	require.Equal(t, l.MetadataBytes, used*BlockSize)
	require.Equal(t, l.JournalBlocks, journal)
}

// requireOrdered checks that the items of a flex group are in it, in order and apart, and counts their blocks.
func requireOrdered(t *testing.T, l *Layout, f *flexGroup) (used uint64) {
	t.Helper()
	at := f.first * blocksPerGroup
	count := make(map[kind]uint64)
	for _, i := range f.items {
		require.GreaterOrEqual(t, i.start, at)
		require.NotZero(t, i.count)
		at = i.end()
		used += i.count
		count[i.kind]++
	}
	require.LessOrEqual(t, at, min(l.Blocks, (f.first+f.groups)*blocksPerGroup))
	for _, k := range []kind{kindBlockBitmap, kindInodeBitmap, kindInodeTable} {
		require.Equal(t, f.groups, count[k])
	}
	return used
}

func TestPlanAtTheLimits(t *testing.T) {
	for _, size := range []uint64{16 << 40, 16<<40 + groupBytes, MaxSize - groupBytes} {
		l, err := Plan(size, Options{})
		require.NoError(t, err)
		require.Equal(t, size, l.Size())
		require.Equal(t, size <= 16<<40, hasResizeInode(l.Blocks))
		requireConsistent(t, l)
	}
}

package mkfs_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

func TestPlanChoosesInodesBySize(t *testing.T) {
	for size, ratio := range map[uint64]uint64{
		64 * mib: 16 * kib, 2500 * mib: 16 * kib, 64 * gib: 16 * kib,
		64*gib + 128*mib: 64 * kib, tib: 64 * kib,
		tib + gib: mib, 15 * tib: mib,
	} {
		l, err := mkfs.Plan(size, mkfs.Options{})
		require.NoError(t, err)
		require.InEpsilon(t, size/ratio, l.Inodes, 0.02, "size %d", size)
		seed, err := mkfs.Plan(size, mkfs.Options{Size: 64 * mib, GrowTo: size})
		require.NoError(t, err)
		require.Equal(t, l.InodesPerGroup, seed.InodesPerGroup, "a seed of %d grows to as many inodes", size)
	}
}

func TestPlanReservesDescriptors(t *testing.T) {
	const perBlock = 8 * gib
	for growTo, reserved := range map[uint64]uint64{
		0: 0, perBlock: 0, perBlock + 1: 1, tib: 127, 8 * tib: 1023, 8*tib + 1: 1024, 15 * tib: 959, 16 * tib: 1024, 100 * tib: 1024,
	} {
		l, err := mkfs.Plan(64*mib, mkfs.Options{GrowTo: growTo})
		require.NoError(t, err)
		require.Equal(t, reserved, l.ReservedDescriptorBlocks, "grow to %d", growTo)
		require.Equal(t, uint64(1), l.DescriptorBlocks)
	}
}

func TestPlanNamesTheSmallestSize(t *testing.T) {
	for name, o := range map[string]mkfs.Options{
		"plain": {}, "journal": {Journal: true}, "seed": {GrowTo: tib}, "seed and journal": {GrowTo: tib, Journal: true},
		"many inodes": {BytesPerInode: 1024},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mkfs.Plan(0, o)
			require.ErrorIs(t, err, mkfs.ErrTooSmall)
			var sizes *mkfs.SizeError
			require.ErrorAs(t, err, &sizes)
			require.ErrorContains(t, err, fmt.Sprint(sizes.Limit))
			t.Logf("%s: %d", name, sizes.Limit)

			_, err = mkfs.Plan(sizes.Limit-mkfs.BlockSize, o)
			require.ErrorIs(t, err, mkfs.ErrTooSmall)
			require.ErrorContains(t, err, fmt.Sprint(sizes.Limit))
			image, l := formatImage(t, sizes.Limit, o)
			require.Equal(t, sizes.Limit, l.Size())
			requireClean(t, image)
		})
	}
	l, err := mkfs.Plan(mkfs.MinSize, mkfs.Options{})
	require.NoError(t, err)
	require.Equal(t, uint64(212*kib), l.FreeBlocks*mkfs.BlockSize)
	require.Equal(t, uint64(5), l.FreeInodes)
}

func TestPlanRefusesBadOptions(t *testing.T) {
	for field, o := range map[string]mkfs.Options{
		"Size":          {Size: 64*mib + 512},
		"GrowTo":        {GrowTo: 63 * mib},
		"BytesPerInode": {BytesPerInode: 1023},
		"InodeSize":     {InodeSize: 512},
		"Label":         {Label: "seventeen bytes!!"},
	} {
		requireBadOption(t, field, o)
	}
	requireBadOption(t, "Label", mkfs.Options{Label: "a\x00b"})
	requireBadOption(t, "BytesPerInode", mkfs.Options{BytesPerInode: 64*mib + 1})
	requireBadOption(t, "BytesPerInode", mkfs.Options{BytesPerInode: 4096, GrowTo: 100 * tib})
	requireBadOption(t, "GrowTo", mkfs.Options{GrowTo: 1 << 63})
}

func requireBadOption(t *testing.T, field string, o mkfs.Options) {
	t.Helper()
	_, err := mkfs.Plan(64*mib, o)
	require.ErrorIs(t, err, mkfs.ErrBadOption)
	var bad *mkfs.OptionError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, field, bad.Field)
	require.ErrorContains(t, err, field)
}

func TestPlanRefusesWhatIsTooLarge(t *testing.T) {
	_, err := mkfs.Plan(mkfs.MaxSize+mkfs.BlockSize, mkfs.Options{})
	require.ErrorIs(t, err, mkfs.ErrTooLarge)
	_, err = mkfs.Plan(64*mib, mkfs.Options{Size: 128 * mib})
	require.ErrorIs(t, err, mkfs.ErrTooLarge)
	require.ErrorContains(t, err, fmt.Sprint(64*mib))
	_, err = mkfs.Plan(mkfs.MaxSize, mkfs.Options{})
	require.NoError(t, err)
}

// TestCapacityIsWhatUsersExpect holds what a user sees in df against the raw device, with what LUKS2 and dm-integrity
// take away first: a header of 16 MiB, a journal of 264 sectors, and for each 4096 bytes a tag of 32.
func TestCapacityIsWhatUsersExpect(t *testing.T) {
	least := 100.0
	for device := uint64(gib); device <= 15*tib; device += device/20 + 12345*512 {
		provided := providedSectors(device/512) * 512
		l, err := mkfs.Plan(provided, mkfs.Options{})
		require.NoError(t, err)
		percent := 100 * float64(l.Capacity()) / float64(device)
		require.GreaterOrEqual(t, percent, 96.0, "device of %d bytes", device)
		least = min(least, percent)
		require.GreaterOrEqual(t, float64(l.FreeBlocks*mkfs.BlockSize), 0.96*float64(device))
	}
	t.Logf("at least %.2f %%", least)
	require.Equal(t, uint64(5047280), providedSectors(5120000))
}

// providedSectors is dm-integrity's geometry with the smallest journal.
func providedSectors(device uint64) uint64 {
	const header, start, tagged, whole = 32768, 8 + 264, 32768, 33024
	available := device - header - start
	provided := tagged * (available / whole)
	if rest := available % whole; rest > whole-tagged {
		provided += rest - (whole - tagged)
	}
	return provided &^ 7
}

func TestPlanLosesLittleAtTheEnd(t *testing.T) {
	for rest := uint64(0); rest < 128*mib; rest += 77 * mkfs.BlockSize {
		size := 2048*mib + rest
		l, err := mkfs.Plan(size, mkfs.Options{})
		require.NoError(t, err)
		require.LessOrEqual(t, size-l.Size(), uint64(2*mib+2*4096+200*kib), "rest of %d", rest)
	}
}

// TestPlanWritesWhatThePackageSays holds the table in the package's documentation, in bytes.
func TestPlanWritesWhatThePackageSays(t *testing.T) {
	for size, want := range map[uint64]struct{ whole, seed uint64 }{
		64 * mib:   {whole: 1_089_536},
		2500 * mib: {41_197_568, 8_273_920},
		56 * gib:   {943_644_672, 8_544_256},
		tib:        {4_372_140_032, 3_739_648},
		15 * tib:   {5_229_899_776, 11_997_184},
	} {
		whole, err := mkfs.Plan(size, mkfs.Options{})
		require.NoError(t, err)
		require.Equal(t, want.whole, whole.MetadataBytes, "size %d", size)
		if want.seed > 0 {
			seed, err := mkfs.Plan(size, mkfs.Options{Size: 512 * mib, GrowTo: size})
			require.NoError(t, err)
			require.Equal(t, want.seed, seed.MetadataBytes, "seed of %d", size)
		}
	}
}

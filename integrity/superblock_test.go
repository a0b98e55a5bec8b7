package integrity_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
)

func plan(t testing.TB, sectors uint64, j integrity.Journal) integrity.Layout {
	t.Helper()
	l, err := integrity.Plan(sectors, offset, j)
	require.NoError(t, err)
	return l
}

func requireRule(t *testing.T, err error, rule string) {
	t.Helper()
	require.ErrorIs(t, err, integrity.ErrSuperblockRejected)
	var rejected *integrity.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.True(t, slices.ContainsFunc(rejected.Violations, func(v integrity.Violation) bool { return v.Rule == rule }),
		"want rule %s, got %v", rule, err)
}

type hostileSuperblock struct {
	superblock integrity.Superblock
	rule       string
}

// hostile are superblocks that differ from the right one of a layout in one
// thing, with the rule that each breaks.
func hostile(l integrity.Layout) map[string]hostileSuperblock {
	change := func(rule string, f func(*integrity.Superblock)) hostileSuperblock {
		s := l.Superblock()
		f(&s)
		return hostileSuperblock{s, rule}
	}
	type sb = *integrity.Superblock
	grown, err := integrity.Plan(l.DeviceSectors+80000, l.Offset, l.Journal)
	if err != nil {
		panic(err)
	}
	journal, shrunk := integrity.RuleJournal, change(integrity.RuleProvided, func(s sb) { s.ProvidedSectors = 8 })
	if l.Journal == integrity.MinimalJournal {
		// Those of larger devices: one with the next journal, that grew, and the smallest.
		journal, shrunk = integrity.RuleProvided, change(integrity.RuleProvided, func(s sb) { s.ProvidedSectors = 0 })
	}
	return map[string]hostileSuperblock{
		"zeroed":              {integrity.Superblock{}, integrity.RuleZeroed},
		"other magic":         change(integrity.RuleMagic, func(s sb) { s.Magic[0] = 'I' }),
		"magic only missing":  change(integrity.RuleMagic, func(s sb) { s.Magic = [8]byte{} }),
		"version 0":           change(integrity.RuleVersion, func(s sb) { s.Version = 0 }),
		"older version":       change(integrity.RuleVersion, func(s sb) { s.Version = 3 }),
		"newer version":       change(integrity.RuleVersion, func(s sb) { s.Version = 5 }),
		"future version":      change(integrity.RuleVersion, func(s sb) { s.Version = 255 }),
		"smaller interleave":  change(integrity.RuleInterleave, func(s sb) { s.Log2InterleaveSectors = 3 }),
		"larger interleave":   change(integrity.RuleInterleave, func(s sb) { s.Log2InterleaveSectors = 31 }),
		"shorter tags":        change(integrity.RuleTagSize, func(s sb) { s.TagSize = 4 }),
		"no tags":             change(integrity.RuleTagSize, func(s sb) { s.TagSize = 0 }),
		"no journal":          change(integrity.RuleJournal, func(s sb) { s.JournalSections = 0 }),
		"longer journal":      change(journal, func(s sb) { s.JournalSections++ }),
		"huge journal":        change(integrity.RuleJournal, func(s sb) { s.JournalSections = 1<<32 - 1 }),
		"shrunk":              shrunk,
		"shrunk by a sector":  change(integrity.RuleProvided, func(s sb) { s.ProvidedSectors-- }),
		"grown by a block":    change(integrity.RuleProvided, func(s sb) { s.ProvidedSectors += 8 }),
		"endless":             change(integrity.RuleProvided, func(s sb) { s.ProvidedSectors = 1<<64 - 8 }),
		"no flags":            change(integrity.RuleFlags, func(s sb) { s.Flags = 0 }),
		"journal MAC":         change(integrity.RuleFlags, func(s sb) { s.Flags |= 1 }),
		"recalculating":       change(integrity.RuleFlags, func(s sb) { s.Flags |= 2 }),
		"dirty bitmap":        change(integrity.RuleFlags, func(s sb) { s.Flags |= 4 }),
		"fixed HMAC":          change(integrity.RuleFlags, func(s sb) { s.Flags |= 16 }),
		"unknown flag":        change(integrity.RuleFlags, func(s sb) { s.Flags |= 1 << 31 }),
		"smaller blocks":      change(integrity.RuleBlockSize, func(s sb) { s.Log2SectorsPerBlock = 0 }),
		"larger blocks":       change(integrity.RuleBlockSize, func(s sb) { s.Log2SectorsPerBlock = 64 }),
		"bitmap":              change(integrity.RuleBitmap, func(s sb) { s.Log2BlocksPerBitmapBit++ }),
		"recalculation begun": change(integrity.RuleRecalculate, func(s sb) { s.RecalculateSector = 8 }),
		"padding":             change(integrity.RuleReserved, func(s sb) { s.Padding[1] = 1 }),
		"second padding":      change(integrity.RuleReserved, func(s sb) { s.Padding2[7] = 1 }),
		"salt":                change(integrity.RuleReserved, func(s sb) { s.Salt[0] = 1 }),
		"first reserved byte": change(integrity.RuleReserved, func(s sb) { s.Rest[0] = 1 }),
		"last reserved byte":  change(integrity.RuleReserved, func(s sb) { s.Rest[len(s.Rest)-1] = 1 }),
		"of a larger device":  {grown.Superblock(), integrity.RuleProvided},
	}
}

func TestHostileSuperblocks(t *testing.T) {
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		l := plan(t, 40<<21, j)
		require.Empty(t, l.Superblock().Check(l))
		for name, h := range hostile(l) {
			_, err := h.superblock.Layout(l.DeviceSectors, l.Offset)
			requireRule(t, err, h.rule)
			// each differs in one thing, and is rejected for that alone
			if name != "of a larger device" {
				require.Len(t, h.superblock.Check(l), 1, name)
			}
		}
	}
}

func TestLayoutOfASuperblock(t *testing.T) {
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		for _, size := range []uint64{64 << 11, 2500 << 11, 56 << 21} {
			l := plan(t, size, j)
			got, err := l.Superblock().Layout(size, offset)
			require.NoError(t, err)
			require.Equal(t, l, got)
		}
	}
	_, err := integrity.Superblock{}.Layout(100, offset)
	require.ErrorIs(t, err, integrity.ErrTooSmall)
}

func TestAllViolationsAreReported(t *testing.T) {
	l := plan(t, 64<<11, integrity.MinimalJournal)
	s := l.Superblock()
	s.Version, s.Flags, s.ProvidedSectors = 9, 0x80000017, 8
	_, err := s.Layout(l.DeviceSectors, offset)
	for _, want := range []string{
		"superblock.version: 9, want 4", "superblock.provided: 8, want ",
		"superblock.flags: journal-mac+recalculating+dirty-bitmap+fixed-hmac+0x80000000, want fixed-padding",
	} {
		require.ErrorContains(t, err, want)
	}
}

// Accepted means equal: no byte of 4096 may be other than ours, but for what depends
// on the size that the device had.
func FuzzSuperblock(f *testing.F) {
	const size = 40 << 21
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		l := plan(f, size, j)
		f.Add(l.Superblock().Bytes())
		for _, h := range hostile(l) {
			f.Add(h.superblock.Bytes())
		}
	}
	f.Add([]byte("integrt\x00"))
	f.Add(plan(f, size/2, integrity.DefaultJournal).Superblock().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := integrity.ParseSuperblock(b)
		if err != nil {
			require.ErrorIs(t, err, integrity.ErrInvalid)
			require.Less(t, len(b), integrity.SuperblockSize)
			return
		}
		require.Equal(t, b[:integrity.SuperblockSize], s.Bytes())
		l, err := s.Layout(size, offset)
		if err != nil {
			require.True(t, errors.Is(err, integrity.ErrSuperblockRejected))
			return
		}
		want := l.Superblock()
		require.LessOrEqual(t, s.ProvidedSectors, want.ProvidedSectors)
		require.LessOrEqual(t, s.Log2BlocksPerBitmapBit, want.Log2BlocksPerBitmapBit)
		s.ProvidedSectors, s.Log2BlocksPerBitmapBit = want.ProvidedSectors, want.Log2BlocksPerBitmapBit
		require.Equal(t, want, s)
	})
}

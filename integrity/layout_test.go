package integrity_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
)

// What kernel 6.1 made of these sizes.
func TestPlanOfKnownSizesOnEveryCPU(t *testing.T) {
	require.Equal(t, integrity.Layout{
		DeviceSectors: 131072, Offset: offset, JournalSections: 3, JournalSectors: 792, InitialSectors: 800, ProvidedSectors: 96736,
	}, plan(t, 64<<11, integrity.DefaultJournal))
	require.Equal(t, integrity.Layout{
		DeviceSectors: 131072, Offset: offset, Journal: integrity.MinimalJournal,
		JournalSections: 1, JournalSectors: 264, InitialSectors: 272, ProvidedSectors: 97264,
	}, plan(t, 64<<11, integrity.MinimalJournal))
}

func TestPlanRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		sectors, offset uint64
		journal         integrity.Journal
		want            error
	}{
		"empty device":            {0, 0, 0, integrity.ErrTooSmall},
		"header only":             {offset, offset, 0, integrity.ErrTooSmall},
		"superblock only":         {offset + 8, offset, integrity.MinimalJournal, integrity.ErrTooSmall},
		"journal only":            {offset + 8 + 264, offset, integrity.MinimalJournal, integrity.ErrTooSmall},
		"tags only":               {offset + 8 + 264 + 256, offset, integrity.MinimalJournal, integrity.ErrTooSmall},
		"seven sectors of data":   {offset + 8 + 264 + 256 + 7, offset, integrity.MinimalJournal, integrity.ErrTooSmall},
		"offset behind the end":   {1000, 2000, 0, integrity.ErrTooSmall},
		"offset near 2^64":        {1 << 30, math.MaxUint64 - 7, 0, integrity.ErrTooSmall},
		"offset not of 8 sectors": {1 << 20, 4, 0, integrity.ErrInvalid},
		"size near 2^64":          {math.MaxUint64, 0, 0, integrity.ErrInvalid},
		"unknown journal":         {1 << 20, 0, 7, integrity.ErrInvalid},
	} {
		_, err := integrity.Plan(test.sectors, test.offset, test.journal)
		require.ErrorIs(t, err, test.want, name)
	}
	l, err := integrity.Plan(offset+8+264+256+8, offset, integrity.MinimalJournal)
	require.NoError(t, err)
	require.Equal(t, uint64(8), l.ProvidedSectors)
}

// What every layout must satisfy, whatever the size.
func FuzzPlan(f *testing.F) {
	f.Add(uint64(64<<11), uint64(offset), false)
	f.Add(uint64(1)<<53, uint64(8), true)
	f.Fuzz(func(t *testing.T, sectors, offset uint64, minimal bool) {
		j := integrity.DefaultJournal
		if minimal {
			j = integrity.MinimalJournal
		}
		l, err := integrity.Plan(sectors, offset, j)
		if err != nil {
			return
		}
		last := l.DataSector(l.ProvidedSectors - 1)
		require.Less(t, last, sectors, "data ends behind the device")
		require.Zero(t, l.ProvidedSectors%8)
		next := l.DataSector(l.ProvidedSectors + 7)
		require.GreaterOrEqual(t, next, sectors, "one more block would fit")
		tag := l.TagPosition(l.ProvidedSectors - 8)
		require.Less(t, tag/512, l.DataSector((l.ProvidedSectors-8)/32768*32768), "a tag lies in the data")
		require.GreaterOrEqual(t, tag/512, offset+l.InitialSectors)
		require.Equal(t, last+1, offset+l.InitialSectors+l.TagSectors()+l.ProvidedSectors)
		require.LessOrEqual(t, l.JournalSectors, uint64(131072))
	})
}

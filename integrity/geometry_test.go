package integrity_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// kernelFormat makes the kernel format a disk by itself, with its own choice of
// everything that we choose too, and returns the superblock that it wrote.
func kernelFormat(t *testing.T, c *dm.Control, disk string, journalSectors uint64) (integrity.Superblock, error) {
	t.Helper()
	const name = "kernel_format"
	f := open(t, disk, os.O_RDWR)
	defer f.Close()
	number, err := dm.DeviceOf(f)
	require.NoError(t, err)
	_, err = c.Create(name, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Remove(context.Background(), name)) }()
	err = c.Load(name, dm.Table{{Length: 8, Target: dm.Integrity{
		Device: number, Offset: offset, TagSize: 32, Mode: 'D', BlockSize: 4096, FixPadding: true, JournalSectors: journalSectors,
	}}}, dm.LoadOptions{})
	if err != nil {
		return integrity.Superblock{}, err
	}
	s, err := integrity.ParseSuperblock(storagetest.ReadBytes(t, disk, offset*sector, integrity.SuperblockSize))
	require.NoError(t, err)
	return s, nil
}

// sizes are device sizes in sectors at which a formula could be off by one.
func sizes() []uint64 {
	const smallest = offset + 8 + 264 + 256 + 8
	all := []uint64{smallest - 8, smallest - 1, smallest, smallest + 1, smallest + 7, smallest + 8,
		2*offset + 1, 40 << 11, 64 << 11, 2500 << 11, 56 << 21, 1 << 31, 1<<31 + 12345, 5 << 31}
	around := func(edge uint64, distances ...uint64) {
		for _, d := range distances {
			all = append(all, edge-d, edge+d)
		}
	}
	around(offset+8+264+33024, 0, 1, 8, 256, 264)    // one whole run, minimal journal
	around(offset+8+264+10*33024, 0, 1, 8, 256, 264) // ten
	around(264<<7, 0, 1, 264)                        // one journal section
	around(2*264<<7, 0, 1, 264)                      // two
	around(131072<<7, 1, 264<<7)                     // the largest journal
	around(offset+8+496*264+600*33024, 0, 8)         // whole runs, largest journal
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 15
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		rounds = 2000
	}
	for range rounds {
		all = append(all, smallest+random.Uint64N(1<<(17+random.UintN(14))))
	}
	return all
}

// The formulas are those of the running kernel, for every byte of the superblock.
func TestLayoutIsTheKernels(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	c := control(t)
	compared, refused := 0, 0
	for _, size := range sizes() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			disk := storagetest.Disk(t, int64(size)*sector)
			for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
				var journalSectors uint64
				if j == integrity.MinimalJournal {
					journalSectors = integrity.JournalSection
				}
				storagetest.WriteBlock(t, disk, offset/8, make([]byte, 4096))
				want, kernelErr := kernelFormat(t, c, disk, journalSectors)
				layout, err := integrity.Plan(size, offset, j)
				if kernelErr != nil {
					require.ErrorIs(t, err, integrity.ErrTooSmall, "the kernel says %v", kernelErr)
					refused++
					continue
				}
				require.NoError(t, err)
				require.Equal(t, want, layout.Superblock(), "%+v", layout)
				compared++
			}
		})
	}
	t.Logf("%d superblocks equal, %d sizes refused by both", compared, refused)
	require.Greater(t, compared, 90)
	require.Positive(t, refused)
}

package storagetest_test

import (
	"bytes"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

const block = storagetest.BlockSize

func filled(c byte) []byte { return bytes.Repeat([]byte{c}, block) }

func TestTampering(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 1<<20)
	storagetest.WriteBlock(t, disk, 3, filled('a'))
	storagetest.WriteBlock(t, disk, 4, filled('b'))

	storagetest.SwapBlocks(t, disk, 3, 4)
	require.Equal(t, filled('b'), storagetest.ReadBlock(t, disk, 3))
	require.Equal(t, filled('a'), storagetest.ReadBlock(t, disk, 4))

	storagetest.FlipBit(t, disk, 3*block+17)
	changed := storagetest.ReadBlock(t, disk, 3)
	require.Equal(t, byte('b'^1), changed[17])
	changed[17] ^= 1
	require.Equal(t, filled('b'), changed)

	storagetest.WriteBytes(t, disk, 4*block-3, []byte("across"))
	require.Equal(t, []byte("bacrossa"), storagetest.ReadBytes(t, disk, 4*block-4, 8))
	storagetest.SwapBytes(t, disk, 4*block-3, 8*block, 6)
	require.Equal(t, []byte("across"), storagetest.ReadBytes(t, disk, 8*block, 6))
}

// A reader with the device open and its pages cached must see the change too.
func TestTamperingIsSeenByOpenReaders(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 1<<20)
	f, err := os.Open(disk)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, block)
	_, err = f.ReadAt(b, 0)
	require.NoError(t, err)
	storagetest.FlipBit(t, disk, 5)
	_, err = f.ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, byte(1), b[5])
}

func TestSnapshotReplay(t *testing.T) {
	storagetest.Kernel(t)
	disk := storagetest.Disk(t, 3<<20)
	storagetest.WriteBlock(t, disk, 1, filled('o'))
	storagetest.WriteBlock(t, disk, 700, filled('o'))
	whole := storagetest.TakeSnapshot(t, disk, 0, 0)
	part := storagetest.TakeSnapshot(t, disk, block, block)
	storagetest.WriteBlock(t, disk, 1, filled('n'))
	storagetest.WriteBlock(t, disk, 2, filled('n'))
	storagetest.WriteBlock(t, disk, 700, filled('n'))

	part.Replay(t)
	require.Equal(t, filled('o'), storagetest.ReadBlock(t, disk, 1))
	require.Equal(t, filled('n'), storagetest.ReadBlock(t, disk, 2))

	whole.Replay(t)
	require.Equal(t, filled(0), storagetest.ReadBlock(t, disk, 2))
	require.Equal(t, filled('o'), storagetest.ReadBlock(t, disk, 700))
}

func TestDisksInParallel(t *testing.T) {
	storagetest.Kernel(t)
	const n = 12
	disks := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { disks[i] = storagetest.Disk(t, 1<<20) })
	}
	all.Wait()
	for i, disk := range disks {
		storagetest.WriteBlock(t, disk, 0, filled(byte(i)))
	}
	for i, disk := range disks {
		require.Equal(t, filled(byte(i)), storagetest.ReadBlock(t, disk, 0))
	}
}

func TestKernelLog(t *testing.T) {
	storagetest.Kernel(t)
	require.NoError(t, os.WriteFile("/dev/kmsg", []byte("storagetest: before\n"), 0))
	log := storagetest.KernelLog(t)
	require.NoError(t, os.WriteFile("/dev/kmsg", []byte("storagetest: after\n"), 0))
	require.Equal(t, []string{"storagetest: after"}, log.Matching(t, "storagetest: "))
	require.Equal(t, []string{"storagetest: after"}, log.Matching(t, "storagetest: "))
}

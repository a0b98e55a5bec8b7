package storagetest_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestFaults(t *testing.T) {
	storagetest.Kernel(t, "linear", "error", "flakey", "delay")
	disk, other := storagetest.Disk(t, 1<<20), storagetest.Disk(t, 1<<20)
	storagetest.WriteBlock(t, other, 5, filled('x'))
	faulty := storagetest.NewFaulty(t, disk)
	storagetest.WriteBlock(t, faulty.Path(), 5, filled('a'))
	require.Equal(t, filled('a'), storagetest.ReadBlock(t, disk, 5))

	at5 := func(kind storagetest.FaultKind) storagetest.Fault {
		return storagetest.Fault{Offset: 5 * block, Length: block, Kind: kind, Delay: 300 * time.Millisecond, With: other}
	}
	readErr := func(n int64) error { return access(t, faulty.Path(), n, false) }
	writeErr := func(n int64) error { return access(t, faulty.Path(), n, true) }

	faulty.Set(t, at5(storagetest.FailAll))
	require.ErrorIs(t, readErr(5), unix.EIO)
	require.ErrorIs(t, writeErr(5), unix.EIO)
	require.NoError(t, readErr(4))
	require.NoError(t, writeErr(6))

	faulty.Set(t, at5(storagetest.FailWrites))
	require.ErrorIs(t, writeErr(5), unix.EIO)
	require.NoError(t, readErr(5))

	faulty.Set(t, at5(storagetest.DropWrites))
	require.NoError(t, writeErr(5))
	require.Equal(t, filled('a'), storagetest.ReadBlock(t, disk, 5))

	faulty.Set(t, at5(storagetest.Slow))
	start := time.Now()
	require.NoError(t, readErr(5))
	require.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)

	held := at5(storagetest.Slow)
	held.Delay = storagetest.UntilSet
	faulty.Set(t, held)
	answered := make(chan error)
	for range 2 { // an answer is what is there when the fault is set again
		go func() { answered <- readErr(5) }()
		faulty.AwaitHeld(t)
		faulty.Set(t, held)
		require.NoError(t, <-answered)
	}

	faulty.Set(t, at5(storagetest.Replaced))
	require.Equal(t, filled('x'), storagetest.ReadBlock(t, faulty.Path(), 5))

	faulty.Set(t, at5(storagetest.Forged))
	require.NoError(t, writeErr(5))
	require.Equal(t, filled('x'), storagetest.ReadBlock(t, faulty.Path(), 5))
	require.Equal(t, filled('x'), storagetest.ReadBlock(t, other, 5))

	faulty.Set(t, storagetest.Fault{Offset: 6 * block})
	require.NoError(t, readErr(5))
	require.ErrorIs(t, readErr(200), unix.EIO)

	faulty.Set(t)
	require.NoError(t, readErr(200))
	require.Equal(t, filled('a'), storagetest.ReadBlock(t, faulty.Path(), 5))
}

// access reads or writes one block, past the page cache.
func access(t *testing.T, device string, n int64, write bool) error {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	b, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(b)) }()
	if write {
		_, err = f.WriteAt(b, n*block)
	} else {
		_, err = f.ReadAt(b, n*block)
	}
	return err
}

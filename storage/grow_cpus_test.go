package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	cpuWorkers = 16
	cpuRounds  = 3
	cpuDirs    = 256
)

// createTogether is the load that breaks inode tables that are written late: 16
// workers create 256 directories each with a file in it, several times. It returns
// how many operations failed.
func createTogether(dir string, rounds int) (failed int64) {
	var count atomic.Int64
	for round := range rounds {
		var workers sync.WaitGroup
		for w := range cpuWorkers {
			workers.Go(func() {
				for i := range cpuDirs {
					d := filepath.Join(dir, fmt.Sprintf("%d-%d-%d", round, w, i))
					err := os.Mkdir(d, 0o755)
					if err == nil {
						err = os.WriteFile(filepath.Join(d, "file"), []byte(d), 0o644)
					}
					if err != nil {
						count.Add(1)
					}
				}
			})
		}
		workers.Wait()
	}
	return count.Load()
}

// With several CPUs at work on a store from the moment on when Create returns,
// while it grows, no operation fails and the kernel finds no wrong tag. In a bed
// with one CPU it proves less.
func TestFourCPUsWhileGrowing(t *testing.T) {
	kernel(t)
	size := int64(6 * gib)
	if soak() {
		size = 56 * gib
	}
	t.Logf("%d CPUs", runtime.NumCPU())
	log := storagetest.KernelLog(t)
	s := create(t, largeDisk(t, size), storage.CreateOptions{Overwrite: storage.OverwriteAnything})
	require.Zero(t, createTogether(s.MountPoint(), cpuRounds), "failed operations")
	require.NoError(t, s.Grown(t.Context()))
	for _, d := range []string{"0-0-0", "2-15-255"} {
		d = filepath.Join(s.MountPoint(), d)
		require.Equal(t, d, readFile(t, filepath.Join(d, "file")))
	}
	requireFull(t, s, size)
	requireNoErrors(t, log)
	requireClean(t, s)
}

// What the seed is for: inode tables that are left for later fail under that load
// when there are several CPUs. Each finds its neighbours' inodes in use, and reads a
// block of the table that nobody wrote.
func TestFourCPUsLazyTablesFail(t *testing.T) {
	kernel(t)
	if runtime.NumCPU() < 4 {
		t.Skip("needs 4 CPUs: go tool guest -bed qemu -cpus 4")
	}
	const size = 6 * gib
	log := storagetest.KernelLog(t)
	s := create(t, largeDisk(t, size), storage.CreateOptions{MountPoint: storage.NoMount, Overwrite: storage.OverwriteAnything})
	writeLazily(t, s.Path(), size)
	dir := t.TempDir()
	require.NoError(t, unix.Mount(s.Path(), dir, "ext4", 0, "noinit_itable"))
	failed := createTogether(dir, 1)
	require.NoError(t, unix.Unmount(dir, 0))
	t.Logf("%d operations failed, %d lines of the kernel's", failed, len(log.Matching(t, "AEAD ERROR")))
	require.Positive(t, failed)
	require.NotEmpty(t, log.Matching(t, "AEAD ERROR"))
}

// writeLazily copies to the device what mke2fs writes into an empty file with lazy
// tables: every block that is not a hole, in whole blocks, and no other.
func writeLazily(t *testing.T, device string, size int64) {
	t.Helper()
	image := storagetest.SparseFile(t, size-size/16)
	tool(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal,^metadata_csum,uninit_bg",
		"-E", "lazy_itable_init=1,nodiscard", image)
	from, err := os.Open(image)
	require.NoError(t, err)
	defer from.Close()
	to, err := os.OpenFile(device, os.O_WRONLY, 0)
	require.NoError(t, err)
	block := make([]byte, 4096)
	for at, end := int64(0), int64(0); ; {
		if at >= end {
			at, err = unix.Seek(int(from.Fd()), end, unix.SEEK_DATA)
			if errors.Is(err, unix.ENXIO) {
				break
			}
			require.NoError(t, err)
			end, err = unix.Seek(int(from.Fd()), at, unix.SEEK_HOLE)
			require.NoError(t, err)
		}
		_, err = from.ReadAt(block, at)
		require.NoError(t, err)
		_, err = to.WriteAt(block, at)
		require.NoError(t, err)
		at += int64(len(block))
	}
	require.NoError(t, errors.Join(to.Sync(), to.Close()))
}

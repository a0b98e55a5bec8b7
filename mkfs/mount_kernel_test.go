package mkfs_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// mount mounts an ext4 filesystem as a store does, until the end of the test at the latest.
func mount(t *testing.T, device, options string) string {
	t.Helper()
	dir := t.TempDir()
	if options != "" {
		options = "," + options
	}
	const flags = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOATIME
	require.NoError(t, unix.Mount(device, dir, "ext4", flags, "noinit_itable"+options))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, unix.Unmount(dir, 0))
}

// alignedPage returns a block of memory that direct I/O takes.
func alignedPage(t *testing.T) []byte {
	t.Helper()
	page, err := unix.Mmap(-1, 0, mkfs.BlockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(page)) })
	return page
}

// fill makes directories and files until there is no room, neither for blocks nor for inodes; any other error fails.
func fill(t *testing.T, dir string) {
	t.Helper()
	content := make([]byte, 256*kib)
	_, _ = rand.Read(content)
	for i := 0; ; i++ {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%40))
		err := os.MkdirAll(sub, 0o755)
		if err == nil {
			size := []int{1, 5000, 70000, len(content)}[i%4]
			err = os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%d", i)), content[:size], 0o644)
		}
		if errors.Is(err, syscall.ENOSPC) {
			require.GreaterOrEqual(t, i, 2)
			break
		}
		require.NoError(t, err)
	}
	syncFilesystem(t, dir)
}

func removeHalf(t *testing.T, dir string) {
	t.Helper()
	for i := range 20 {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("d%d", 2*i))))
	}
	syncFilesystem(t, dir)
}

func syncFilesystem(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Syncfs(int(f.Fd())))
}

// oneCPU is storagetest.Kernel for a long test to which more CPUs add nothing: the emulated ones of the qemu bed would
// take minutes.
func oneCPU(t *testing.T, features ...string) {
	t.Helper()
	storagetest.Kernel(t, features...)
	if storagetest.Bed() == "qemu" {
		t.Skip("needs no more than one CPU: runs in the uml bed")
	}
}

func TestKernelMountsFillsAndCountsAsPlanned(t *testing.T) {
	oneCPU(t)
	for _, size := range []uint64{mkfs.MinSize, mib, 24 * mib, 131 * mib} {
		for _, o := range []mkfs.Options{{}, {Journal: true}, {InodeSize: 128}, {GrowTo: tib}} {
			if size < leastWithJournal && (o.Journal || o.GrowTo > 0) {
				continue
			}
			t.Run(fmt.Sprintf("%d,journal=%t,inode=%d,grow=%d", size, o.Journal, o.InodeSize, o.GrowTo), func(t *testing.T) {
				disk := storagetest.Disk(t, int64(size))
				l := formatDevice(t, disk, size, o)
				dir := mount(t, disk, "")
				requireCounts(t, dir, l)
				fill(t, dir)
				unmount(t, dir)
				requireClean(t, disk)
			})
		}
	}
}

// requireCounts compares what df shows with the layout.
func requireCounts(t *testing.T, dir string, l *mkfs.Layout) {
	t.Helper()
	var s unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &s))
	require.Equal(t, int64(mkfs.BlockSize), int64(s.Bsize))
	require.Equal(t, l.FreeBlocks, s.Bfree)
	require.Equal(t, l.Inodes, s.Files)
	require.Equal(t, l.FreeInodes, s.Ffree)
	// Kernels before 5.18 do not count the blocks reserved for descriptors as overhead.
	most := l.Blocks - l.OverheadBlocks + l.ReservedDescriptorBlocks*l.Groups
	require.GreaterOrEqual(t, s.Blocks, l.Blocks-l.OverheadBlocks)
	require.LessOrEqual(t, s.Blocks, most)
	t.Logf("df: %d of %d blocks, %.2f %%", s.Blocks, l.Blocks, 100*float64(s.Blocks)/float64(l.Blocks))
}

func TestKernelRefusesAnUnfinishedFilesystem(t *testing.T) {
	storagetest.Kernel(t)
	const size = 64 * mib
	disk := storagetest.Disk(t, size)
	f, err := openDirect(disk)
	require.NoError(t, err)
	defer f.Close()
	_, err = mkfs.Format(t.Context(), exceptLast{f}, size, mkfs.Options{})
	require.ErrorIs(t, err, errPowerCut)
	require.ErrorIs(t, unix.Mount(disk, t.TempDir(), "ext4", 0, ""), unix.EINVAL)
}

var errPowerCut = errors.New("power cut")

// exceptLast drops the write of block 0.
type exceptLast struct{ f *os.File }

func (e exceptLast) WriteAt(b []byte, off int64) (int, error) {
	if off == 0 {
		return 0, errPowerCut
	}
	return e.f.WriteAt(b, off)
}

package mkfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// resizeFS is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64).
const resizeFS = 0x40086610

// grow grows a mounted filesystem to size bytes, in steps, as a store does: the kernel reads the last block of the new
// size first, so that is written before.
func grow(t *testing.T, device, dir string, from, to, step uint64) {
	t.Helper()
	raw, err := openDirect(device)
	require.NoError(t, err)
	defer raw.Close()
	root, err := os.Open(dir)
	require.NoError(t, err)
	defer root.Close()
	page := alignedPage(t)
	for size := from; size < to; time.Sleep(10 * time.Millisecond) {
		size = min(size+step, to)
		_, err := raw.WriteAt(page, int64(size-mkfs.BlockSize))
		require.NoError(t, err)
		blocks := size / mkfs.BlockSize
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks)))
		require.Zerof(t, errno, "grow to %d bytes: %v", size, errno)
	}
}

// TestSeedGrowsWhileInUse grows a seed on a device whose unwritten blocks cannot be read, with writers at work.
func TestSeedGrowsWhileInUse(t *testing.T) {
	for _, o := range []mkfs.Options{{}, {Journal: true}} {
		t.Run(fmt.Sprintf("journal=%t", o.Journal), func(t *testing.T) {
			const size, seed = 260 * mib, 24 * mib
			device := neverWritten(t, size)
			o.Size, o.GrowTo = seed, size
			l := formatDevice(t, device, size, o)
			dir := mount(t, device, "")
			ctx, cancel := context.WithCancel(t.Context())
			var writers errgroup.Group
			for i := range 4 {
				writers.Go(func() error { return churn(ctx, filepath.Join(dir, fmt.Sprint(i))) })
			}
			grow(t, device, dir, l.Size(), size, 16*mib)
			cancel()
			require.NoError(t, writers.Wait())
			spread(t, dir)
			requireGrown(t, dir, size)
			unmount(t, dir)
			requireClean(t, device)
		})
	}
}

// churn makes and removes files until ctx is done. A full filesystem is no error.
func churn(ctx context.Context, dir string) error {
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Millisecond) // the bed may have one CPU
		sub := filepath.Join(dir, fmt.Sprint(i%64))
		err := os.MkdirAll(sub, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(sub, "file"), make([]byte, 1000+i%9000), 0o644)
		}
		if i%3 == 0 && err == nil {
			err = os.RemoveAll(sub)
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// spread makes directories in the root, which ext4 distributes over all groups, with some files in each.
func spread(t *testing.T, dir string) {
	t.Helper()
	for i := range 200 {
		sub := filepath.Join(dir, fmt.Sprintf("spread%d", i))
		require.NoError(t, os.Mkdir(sub, 0o755))
		for n := range 3 {
			require.NoError(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(n)), make([]byte, 20*kib), 0o644))
		}
	}
	syncFilesystem(t, dir)
}

func requireGrown(t *testing.T, dir string, size uint64) {
	t.Helper()
	var s unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &s))
	require.Greater(t, float64(s.Blocks)*mkfs.BlockSize, 0.95*float64(size))
}

// TestSeedGrowsToATerabyte uses up the whole descriptor reserve, and no more: the layout stays the ordinary one.
func TestSeedGrowsToATerabyte(t *testing.T) {
	oneCPU(t)
	const size, seed = tib, 64 * mib
	disk := storagetest.Disk(t, size)
	l := formatDevice(t, disk, size, mkfs.Options{Size: seed, GrowTo: size, BytesPerInode: 64 * mib})
	dir := mount(t, disk, "")
	grow(t, disk, dir, l.Size(), size, 64*gib)
	requireGrown(t, dir, size)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644))
	unmount(t, dir)
	requireClean(t, disk)
	fields := dumpe2fs(t, disk)
	require.Equal(t, fmt.Sprint(size/mkfs.BlockSize), fields["Block count"])
	require.Contains(t, fields["Filesystem features"], "resize_inode")
	require.NotContains(t, fields["Filesystem features"], "meta_bg")
}

// TestSeedGrowsBeyondItsReserve shows that the kernel finds the resize inode as it wants it when it has no more use
// for it: it then switches to meta_bg.
func TestSeedGrowsBeyondItsReserve(t *testing.T) {
	oneCPU(t)
	const size, seed = 64 * gib, 64 * mib
	disk := storagetest.Disk(t, size)
	l := formatDevice(t, disk, size, mkfs.Options{Size: seed, GrowTo: 16 * gib, BytesPerInode: 16 * mib})
	dir := mount(t, disk, "")
	grow(t, disk, dir, l.Size(), size, 8*gib)
	requireGrown(t, dir, size)
	unmount(t, dir)
	requireClean(t, disk)
	require.Contains(t, dumpe2fs(t, disk)["Filesystem features"], "meta_bg")
}

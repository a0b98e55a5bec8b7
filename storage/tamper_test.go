package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A bit that flips on the device: the one block cannot be read, everything else
// can, and the status says so.
func TestFlippedBit(t *testing.T) {
	kernel(t)
	quiet(t)
	const size = 64 * mib
	disk := storagetest.Disk(t, size)
	s := create(t, disk, storage.CreateOptions{})
	bad, good := filepath.Join(s.MountPoint(), "bad"), filepath.Join(s.MountPoint(), "good")
	writeFile(t, bad, strings.Repeat("b", 3*4096))
	writeFile(t, good, strings.Repeat("g", 3*4096))
	unix.Sync()

	layout, err := integrity.Plan(size/512, 32768, integrity.MinimalJournal)
	require.NoError(t, err)
	second := blockOf(t, bad, 1)
	storagetest.FlipBit(t, disk, int64(layout.DataSector(second*8))*512+1234)

	// The page cache still has it; after unmounting the device is asked again.
	require.NoError(t, unix.Unmount(s.MountPoint(), 0))
	require.NoError(t, unix.Mount(s.Path(), s.MountPoint(), "ext4", 0, ""))
	f, err := os.Open(bad)
	require.NoError(t, err)
	defer f.Close()
	one := make([]byte, 4096)
	_, err = f.ReadAt(one, 4096)
	require.Error(t, err, "the block that was changed")
	require.True(t, errorIsOneOf(err, unix.EIO, unix.EILSEQ), "%v", err)
	require.Equal(t, make([]byte, 4096), one, "nothing of it is returned")
	_, err = f.ReadAt(one, 0)
	require.NoError(t, err, "its neighbour")
	require.Equal(t, strings.Repeat("b", 4096), string(one))
	require.Equal(t, strings.Repeat("g", 3*4096), readFile(t, good))
	writeFile(t, filepath.Join(s.MountPoint(), "new"), "the store goes on")

	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.IntegrityErrors.Known)
	require.GreaterOrEqual(t, status.IntegrityErrors.AtLeast, 1)
	require.Contains(t, status.IntegrityErrors.String(), "at least")
}

// A filesystem whose superblock the host changed is not mounted, and the reason is
// not just an I/O error.
func TestChangedSuperblockOfTheFilesystem(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	persistent(t, disk, longKey, "contents", storage.CreateOptions{})
	layout, err := integrity.Plan(smallVolume/512, superblockOffset/512, integrity.DefaultJournal)
	require.NoError(t, err)
	storagetest.FlipBit(t, disk, int64(layout.DataSector(0))*512+1024+56)
	_, err = tryOpen(t, disk, longKey, storage.OpenOptions{})
	require.ErrorIs(t, err, storage.ErrIntegrity)
	require.ErrorContains(t, err, "block 0 is not what was written there")
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// Errors of a store of before are not this one's, though the kernel uses its
// number again.
func TestErrorsOfAnEarlierStoreDoNotCount(t *testing.T) {
	kernel(t)
	quiet(t)
	disk := storagetest.Disk(t, 64*mib)
	s := create(t, disk, storage.CreateOptions{MountPoint: storage.NoMount})
	f, err := os.OpenFile(s.Path(), os.O_RDONLY, 0)
	require.NoError(t, err)
	// One block only: of many errors the kernel leaves lines out, and then the
	// next store's are unknown.
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	_, err = f.ReadAt(make([]byte, 1), 0) // never written: no valid tag
	require.Error(t, err)
	require.NoError(t, f.Close())
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Positive(t, status.IntegrityErrors.AtLeast)
	number := status.Number
	require.NoError(t, s.Close())

	again := create(t, disk, storage.CreateOptions{})
	status, err = again.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, number, status.Number, "the premise of this test")
	require.Equal(t, "none seen", status.IntegrityErrors.String())
}

// quiet waits until the kernel logs every error again: after many it leaves lines
// out for 5 seconds.
func quiet(t *testing.T) {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Close(fd)) }()
	var now int64   // microseconds since boot
	var all []int64 // of errors
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, record)
		if errors.Is(err, unix.EPIPE) {
			continue
		}
		if err != nil {
			break
		}
		_, err = fmt.Sscanf(strings.ReplaceAll(string(record[:n]), ",", " "), "%d %d %d", new(int), new(int), &now)
		require.NoError(t, err)
		if strings.Contains(string(record[:n]), "AEAD ERROR") {
			all = append(all, now)
		}
	}
	if len(all) < 5 {
		return
	}
	last := all[len(all)-5]
	var clock unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock))
	time.Sleep(time.Duration(last)*time.Microsecond + 6*time.Second - time.Duration(clock.Nano()))
}

func errorIsOneOf(err error, all ...unix.Errno) bool {
	for _, e := range all {
		if strings.Contains(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

// blockOf returns the filesystem's number of a block of a file (FIBMAP).
func blockOf(t *testing.T, path string, index int32) uint64 {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	const fibmap = 1
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fibmap, uintptr(unsafe.Pointer(&index)))
	require.Zero(t, errno)
	require.NotZero(t, index)
	return uint64(index)
}

package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const tib = 1 << 40

// At every size a store is usable at once and grows to the device, and the
// filesystem is clean; the kernel never reads a block that was not written.
func TestGrowsToTheDevice(t *testing.T) {
	kernel(t)
	sizes := []int64{2500 * mib, 56 * gib}
	if soak() {
		sizes = append(sizes, gib, 16*gib, tib, 15*tib)
	}
	for _, size := range sizes {
		for _, key := range []*storage.Key{nil, newKey(t, longKey)} {
			if key != nil && size > 16*gib && !soak() {
				continue
			}
			t.Run(fmt.Sprintf("%dMiB,keyed=%t", size/mib, key != nil), func(t *testing.T) {
				checkGrowth(t, largeDisk(t, size), size, key)
			})
		}
	}
}

func checkGrowth(t *testing.T, disk string, size int64, key *storage.Key) {
	log := storagetest.KernelLog(t)
	began := time.Now()
	s := create(t, disk, storage.CreateOptions{Key: key, Overwrite: storage.OverwriteAnything})
	usable := time.Since(began)
	first := growthOf(t, s)
	writeFile(t, filepath.Join(s.MountPoint(), "early"), "contents")
	require.NoError(t, s.Grown(t.Context()))
	t.Logf("usable after %v with %d MiB, full after %v", usable, first.Bytes/mib, time.Since(began))

	growth := growthOf(t, s)
	require.True(t, growth.Full())
	require.Zero(t, growth.Grower, "nobody grows what is full")
	requireFull(t, s, size)
	requireNoErrors(t, log)
	requireClean(t, s)
	require.Equal(t, "contents", readFile(t, filepath.Join(s.MountPoint(), "early")))
}

// soak asks for the long form of tests.
func soak() bool { return os.Getenv("TRUSTED_STORE_SOAK") != "" }

func growthOf(t *testing.T, s *storage.Store) *storage.Growth {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.NotNil(t, status.Growth)
	return status.Growth
}

// requireFull checks what df shows of the mapping.
func requireFull(t *testing.T, s *storage.Store, device int64) {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	shown := float64(status.Filesystem.Bytes)
	t.Logf("df shows %.2f %% of the device, %.2f %% of the mapping, %d inodes",
		100*shown/float64(device), 100*shown/float64(status.Sectors*512), status.Filesystem.Inodes)
	require.GreaterOrEqual(t, shown, 0.97*float64(status.Sectors*512), "df's size")
}

func requireNoErrors(t *testing.T, log *storagetest.Log) {
	t.Helper()
	for _, text := range []string{"AEAD ERROR", "EXT4-fs error", "EXT4-fs warning", "resize aborted"} {
		require.Empty(t, log.Matching(t, text))
	}
}

// requireClean unmounts for a moment.
func requireClean(t *testing.T, s *storage.Store) {
	t.Helper()
	unmountStore(t, s)
	storagetest.CheckFilesystem(t, s.Path())
	mountStore(t, s)
}

// unmountStore tries again while a grower looks at the filesystem for a moment.
func unmountStore(t *testing.T, s *storage.Store) {
	t.Helper()
	err := unix.Unmount(s.MountPoint(), 0)
	for began := time.Now(); errors.Is(err, unix.EBUSY) && time.Since(began) < time.Minute; {
		time.Sleep(time.Millisecond)
		err = unix.Unmount(s.MountPoint(), 0)
	}
	require.NoError(t, err)
}

func mountStore(t *testing.T, s *storage.Store) {
	t.Helper()
	require.NoError(t, unix.Mount(s.Path(), s.MountPoint(), "ext4", 0, "noinit_itable"))
}

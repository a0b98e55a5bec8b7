package storage_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The smallest devices, in blocks of 4096 bytes.
const (
	smallestEphemeral = 4226 // 16.6 MiB
	smallestPlain     = 4160 // 16.3 MiB
	smallestKeyed     = 5264 // 20.6 MiB
)

// At every size the filesystem is clean as it was written and after use, and
// from 1 GiB on at least 96 % of the device can be used.
func TestSizes(t *testing.T) {
	kernel(t)
	sizes := []int64{64 * mib, 127 * mib, 128 * mib, 512 * mib, 1 * gib, 2500 * mib}
	for _, size := range sizes {
		for _, key := range []*storage.Key{nil, newKey(t, "a key")} {
			t.Run(fmt.Sprintf("%dMiB,keyed=%t", size/mib, key != nil), func(t *testing.T) {
				checkSize(t, storagetest.Disk(t, size), size, key)
			})
		}
	}
}

func checkSize(t *testing.T, disk string, size int64, key *storage.Key) {
	s := create(t, disk, storage.CreateOptions{Key: key})
	require.NoError(t, s.Grown(t.Context()))
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	if key == nil && size >= gib {
		require.GreaterOrEqual(t, float64(status.Filesystem.Bytes), 0.96*float64(size), "df's size")
		require.GreaterOrEqual(t, float64(status.Filesystem.AvailableBytes), 0.90*float64(size), "df's available")
	}
	fsck := func() {
		require.NoError(t, unix.Unmount(s.MountPoint(), 0))
		storagetest.CheckFilesystem(t, s.Path())
		require.NoError(t, unix.Mount(s.Path(), s.MountPoint(), "ext4", 0, "noinit_itable"))
	}
	log := storagetest.KernelLog(t)
	fsck()
	use(t, s.MountPoint())
	require.NoError(t, unix.Unmount(s.MountPoint(), 0))
	require.NoError(t, unix.Mount(s.Path(), s.MountPoint(), "ext4", 0, "noinit_itable"))
	require.Empty(t, log.Matching(t, "AEAD ERROR"))
	require.Empty(t, log.Matching(t, "EXT4-fs error"))
	fsck()
}

// use writes, renames, links, removes and reads back files of many sizes.
func use(t *testing.T, dir string) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%10))
		require.NoError(t, os.MkdirAll(sub, 0o755))
		content := make([]byte, random.IntN(60_000))
		for j := range content {
			content[j] = byte(i)
		}
		name := filepath.Join(sub, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(name, content, 0o644))
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, content, got)
		switch i % 4 {
		case 0:
			require.NoError(t, os.Remove(name))
		case 1:
			require.NoError(t, os.Symlink(name, name+".link"))
		case 2:
			require.NoError(t, os.Rename(name, name+".new"))
		}
	}
}

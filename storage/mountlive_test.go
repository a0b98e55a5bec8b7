package storage_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func mountOptionsOf(t *testing.T, s *storage.Store) string {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, status.Mounts, 1)
	return status.Mounts[0].Options
}

func TestMountFlags(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	dir := filepath.Join(t.TempDir(), "store")
	_, err := storage.Create(t.Context(), disk, storage.CreateOptions{MountPoint: dir, MountFlags: storage.ReadOnly})
	require.ErrorIs(t, err, storage.ErrInvalid, "nobody could write to it")
	require.NoDirExists(t, dir)

	s := create(t, disk, storage.CreateOptions{Key: newKey(t, longKey), MountFlags: storage.NoExec})
	require.Equal(t, "rw,nosuid,nodev,noexec,noatime", mountOptionsOf(t, s))
	require.NoError(t, s.Close())
	s = open(t, disk, longKey, storage.OpenOptions{MountFlags: storage.ReadOnly | storage.NoExec})
	require.Equal(t, "ro,nosuid,nodev,noexec,noatime", mountOptionsOf(t, s))
	require.ErrorIs(t, os.WriteFile(filepath.Join(s.MountPoint(), "f"), nil, 0o600), unix.EROFS)
	require.NoError(t, s.Grown(t.Context()), "nothing grows what is read-only")
}

func TestNoJournal(t *testing.T) {
	kernel(t)
	for _, without := range []bool{false, true} {
		s := create(t, storagetest.Disk(t, smallVolume), storage.CreateOptions{
			Key: newKey(t, longKey), Filesystem: storage.FilesystemOptions{NoJournal: without},
		})
		unmountStore(t, s)
		features := tool(t, "dumpe2fs", "-h", s.Path())
		mountStore(t, s)
		if without {
			require.NotContains(t, features, "has_journal")
		} else {
			require.Contains(t, features, "has_journal")
		}
	}
}

// A store that was unmounted by hand, or never mounted, comes back with what is
// on it.
func TestMountLive(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, smallVolume), storage.CreateOptions{})
	writeFile(t, filepath.Join(s.MountPoint(), "f"), "kept")
	dir := filepath.Join(t.TempDir(), "again")
	_, err := storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: dir})
	require.ErrorIs(t, err, storage.ErrBusy, "it is mounted")

	unmountStore(t, s)
	again, err := storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: dir, MountFlags: storage.NoExec})
	require.NoError(t, err)
	require.Equal(t, s.UUID(), again.UUID())
	require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
	require.Equal(t, "rw,nosuid,nodev,noexec,noatime", mountOptionsOf(t, again))
	require.NoError(t, again.Close())

	_, err = storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: dir})
	require.ErrorIs(t, err, storage.ErrNotFound)
}

func TestMountLiveNeedsFilesystem(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, smallVolume), storage.CreateOptions{MountPoint: storage.NoMount, Integrity: storage.NoIntegrity})
	dir := filepath.Join(t.TempDir(), "made")
	_, err := storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: dir})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, "holds no filesystem")
	require.NoDirExists(t, dir)
}

func TestCheckKey(t *testing.T) {
	kernel(t)
	disk := newDiskWithKey(t, longKey)
	require.NoError(t, storage.CheckKey(t.Context(), disk, newKey(t, longKey)))
	require.ErrorIs(t, storage.CheckKey(t.Context(), disk, newKey(t, "another")), storage.ErrWrongKey)
	open(t, disk, longKey, storage.OpenOptions{})
	require.NoError(t, storage.CheckKey(t.Context(), disk, newKey(t, longKey)), "also while it is live")
	require.ErrorIs(t, storage.CheckKey(t.Context(), storagetest.Disk(t, smallVolume), newKey(t, longKey)), storage.ErrHeaderRejected)
}

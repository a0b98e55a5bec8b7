package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestKeysAreAddedAndRemoved(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	dir := filepath.Join(t.TempDir(), "m")
	first, second, stranger := newKey(t, "first"), newKey(t, "second"), newKey(t, "stranger")
	s := create(t, disk, storage.CreateOptions{Key: first, MountPoint: dir})
	writeFile(t, filepath.Join(dir, "f"), "contents")

	_, err := storage.AddKey(disk, stranger, second)
	require.ErrorIs(t, err, storage.ErrWrongKey)
	slot, err := storage.AddKey(disk, first, second)
	require.NoError(t, err, "while the store is live")
	require.Equal(t, 1, slot)
	slots, err := storage.Keys(disk)
	require.NoError(t, err)
	require.Len(t, slots, 2)
	require.NoError(t, s.Close())

	require.ErrorIs(t, storage.RemoveKey(disk, 0, first), storage.ErrWrongKey, "nobody could open it afterwards")
	require.ErrorIs(t, storage.RemoveKey(disk, 5, first), storage.ErrInvalid)
	require.NoError(t, storage.RemoveKey(disk, 0, second))
	_, err = storage.Open(t.Context(), disk, first, storage.OpenOptions{MountPoint: dir})
	require.ErrorIs(t, err, storage.ErrWrongKey)
	s, err = storage.Open(t.Context(), disk, second, storage.OpenOptions{MountPoint: dir})
	require.NoError(t, err)
	require.Equal(t, "contents", readFile(t, filepath.Join(dir, "f")))
	require.NoError(t, s.Close())
	tool(t, "cryptsetup", "luksDump", disk)
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// The mapping alone, as the caller had it from cryptsetup: what is written is read
// back, is not on the disk, and nothing is left.
func TestEncryptDevice(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, 64<<20)
	path, err := encryptDevice(t.Context(), disk, "scratch")
	require.NoError(t, err)
	require.Equal(t, "/dev/mapper/scratch", path)
	block := bytes.Repeat([]byte("of the container"), 256)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(block, 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	raw, err := os.ReadFile(disk)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "of the container")
	back := make([]byte, len(block))
	f, err = os.Open(path)
	require.NoError(t, err)
	_, err = f.ReadAt(back, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, block, back)

	_, err = encryptDevice(t.Context(), disk, "another")
	require.ErrorIs(t, err, storage.ErrBusy)
	require.NoError(t, cleanupCryptDevice(t.Context(), "scratch"))
	require.NoError(t, cleanupCryptDevice(t.Context(), "scratch"))
}

func TestMountScratch(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	dir := filepath.Join(t.TempDir(), "scratch")
	store, err := mountScratch(t.Context(), storagetest.Disk(t, 64<<20), "scratch", dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	require.NoError(t, store.Grown(t.Context()))
	require.NoError(t, cleanupCryptDevice(t.Context(), "scratch"))
	require.NoError(t, store.Close(), "it is closed already")
}

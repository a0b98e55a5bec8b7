package guestpull_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(pullerVariable); dir != "" {
		puller(dir)
	}
	if dir := os.Getenv(campaignVariable); dir != "" {
		campaigner(dir)
	}
	if err := trustAuthority(); err != nil {
		panic(err)
	}
	storagetest.Main(m)
}

// kernel prepares a test that mounts: it skips outside a bed, and fails when the
// test leaves anything.
func kernel(t *testing.T) {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
}

// newStore returns the directory of a new store on a disk of that size.
func newStore(t *testing.T, size int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := storage.Create(t.Context(), storagetest.Disk(t, size), storage.CreateOptions{MountPoint: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return dir
}

// newTmpfs returns the directory of a new tmpfs.
func newTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// nothingLeft fails when a pull that failed left anything on a store.
func nothingLeft(t *testing.T, store string) {
	t.Helper()
	for _, pattern := range []string{"layers/*", "overlay/*", "images.json*"} {
		left, err := filepath.Glob(filepath.Join(store, pattern))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// newBundle returns a bundle that is released when the test ends.
func newBundle(t *testing.T, images *guestpull.Images) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	t.Cleanup(func() { require.NoError(t, images.Release(context.Background(), dir)) })
	return dir
}

package storage_test

import (
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

// hostBytes is what of a sparse file is stored.
func hostBytes(t *testing.T, file string) int64 {
	t.Helper()
	unix.Sync()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(file, &st))
	return st.Blocks * 512
}

// What a store takes of a sparse device follows its use: next to nothing while it is
// empty, at any size, and then what was written, its tags and a little.
func TestGrowAsUsedOnSparseDevice(t *testing.T) {
	kernel(t)
	written, watched := int64(64*mib), time.Second
	if soak() {
		written, watched = gib, 6*time.Second
	}
	host := create(t, largeDisk(t, 56*gib), storage.CreateOptions{
		MountPoint: filepath.Join(t.TempDir(), "host"), Integrity: storage.NoIntegrity,
		Overwrite: storage.OverwriteAnything, Grow: storage.GrowAsUsed,
	})
	for _, size := range []int64{100 * gib, 29 * tib / 10 / 4096 * 4096} {
		for name, fs := range map[string]storage.FilesystemOptions{
			"default": {}, "kata": {BytesPerInode: 163840, InodeSize: 128, NoJournal: true},
		} {
			t.Run(fmt.Sprintf("%dGiB,%s", size/gib, name), func(t *testing.T) {
				file := filepath.Join(host.MountPoint(), "disk")
				require.NoError(t, os.WriteFile(file, nil, 0o600))
				require.NoError(t, os.Truncate(file, size))
				s := create(t, storagetest.Attach(t, file, storagetest.DiskOptions{}), storage.CreateOptions{
					MountPoint: filepath.Join(t.TempDir(), "store"), Filesystem: fs, Grow: storage.GrowAsUsed,
				})
				most := int64(4_000_000)
				if size > tib && name == "default" { // 2000 inodes, one for each MiB
					most = 16_000_000
				}
				checkSparse(t, s, file, most, written, watched)
				require.NoError(t, s.Close())
			})
		}
	}
}

func checkSparse(t *testing.T, s *storage.Store, file string, most, written int64, watched time.Duration) {
	t.Helper()
	require.NoError(t, s.Grown(t.Context()), "nothing to wait for")
	var empty int64
	for end := time.Now().Add(watched); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		empty = hostBytes(t, file)
		require.LessOrEqual(t, empty, most, "an empty store of %d MiB", growthOf(t, s).Bytes/mib)
	}
	require.Equal(t, written, writeOn(t, s, written), "no space at %d MiB", growthOf(t, s).Bytes/mib)
	full := hostBytes(t, file)
	t.Logf("%d bytes when empty, %.4f times what was written, with %d MiB", empty,
		float64(full-empty)/float64(written), growthOf(t, s).Bytes/mib)
	// The short form writes less than a gibibyte, and is allowed what that takes.
	require.LessOrEqual(t, float64(full-empty-written), 0.02*float64(max(written, gib)))
}

package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Volumes of one UUID, each with a volume key of its own, opened at once by one
// process: the kernel's keys of all of them have the same description, and each
// store must get its own, also when it is loaded once more for all CPUs.
func TestParallelOpensOfOneUUIDCPUs(t *testing.T) {
	kernel(t)
	const volumes, rounds = 16, 2
	id := uuid.New()
	disks := make([]string, volumes)
	for i := range disks {
		disks[i] = storagetest.Disk(t, smallVolume)
		volume{id: id, key: longKey, journal: integrity.MinimalJournal}.make(t, disks[i], fmt.Sprint("contents of ", i))
	}
	key, dir := newKey(t, longKey), t.TempDir()
	for range rounds {
		stores := make([]*storage.Store, volumes)
		var opens, closes errgroup.Group
		for i := range disks {
			opens.Go(func() (err error) {
				stores[i], err = storage.Open(t.Context(), disks[i], key, storage.OpenOptions{MountPoint: filepath.Join(dir, fmt.Sprint(i))})
				return err
			})
		}
		openErr := opens.Wait()
		for i, s := range stores {
			if s != nil {
				require.NoError(t, s.Grown(t.Context()))
				require.Equal(t, runtime.NumCPU() > 1, queued(t, s))
				require.NoError(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
				require.Equal(t, id, s.UUID())
				require.Equal(t, fmt.Sprint("contents of ", i), readFile(t, filepath.Join(s.MountPoint(), "f")))
				closes.Go(s.Close)
			}
		}
		require.NoError(t, closes.Wait())
		require.NoError(t, openErr)
	}
}

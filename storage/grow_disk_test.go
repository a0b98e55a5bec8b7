package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// memoryDisk is the largest device that grows on a sparse file in the bed's memory.
const memoryDisk = 20 * gib

// largeDisk returns a device of size bytes, on one of the bed's raw disks where
// growing writes more than the bed's memory holds. The disk is used from its start,
// and may hold what an earlier test left.
func largeDisk(t *testing.T, size int64) string {
	t.Helper()
	for _, path := range filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS")) {
		if device, err := partOf(t, path, size); err == nil {
			return device
		}
	}
	if size <= memoryDisk {
		return storagetest.Disk(t, size)
	}
	if os.Getenv("TRUSTED_STORE_BEDS") == "required" {
		t.Fatalf("needs a raw disk of %d GiB, and TRUSTED_STORE_BEDS=required: go tool guest -disk %dG", size/gib, size/gib)
	}
	t.Skipf("needs a raw disk of %d GiB: go tool guest -disk %dG", size/gib, size/gib)
	return ""
}

var errTooSmall = errors.New("too small")

// partOf maps the first size bytes of a disk until the test ends.
func partOf(t *testing.T, path string, size int64) (string, error) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	if end, err := f.Seek(0, 2); err != nil || end < size {
		return "", errTooSmall
	}
	number, err := dm.DeviceOf(f)
	require.NoError(t, err)
	control, err := dm.Open()
	require.NoError(t, err)
	name := fmt.Sprintf("part-%d", os.Getpid())
	_, err = control.Create(name, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, control.Remove(context.Background(), name))
		require.NoError(t, control.Close())
	})
	table := dm.Table{{Length: uint64(size) / 512, Target: dm.Linear{Device: number}}}
	require.NoError(t, control.Load(name, table, dm.LoadOptions{}))
	require.NoError(t, control.Resume(name))
	return dm.Path(name), nil
}

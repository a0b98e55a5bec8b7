package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A volume that was made on one CPU is opened on others, and what each of them wrote
// is read. TRUSTED_STORE_TRAVEL has the CPUs on which the bed's first disk has been so
// far, separated by commas: make kernels carries it through guests of several CPUs.
// Without it the volume travels between this CPU and itself.
func TestVolumeTravelsBetweenCPUs(t *testing.T) {
	kernel(t)
	key := newKey(t, longKey)
	been, travels := os.LookupEnv("TRUSTED_STORE_TRAVEL")
	if travels {
		disks := filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS"))
		require.NotEmpty(t, disks, "TRUSTED_STORE_TRAVEL needs a disk: go tool guest -disk FILE")
		visit(t, disks[0], key, strings.FieldsFunc(been, func(r rune) bool { return r == ',' }))
		return
	}
	disk := storagetest.Disk(t, 64*mib)
	visit(t, disk, key, nil)
	visit(t, disk, key, []string{runtime.GOARCH})
}

// visit makes or opens the volume, reads what was written where it has been, and
// writes something itself.
func visit(t *testing.T, disk string, key *storage.Key, been []string) {
	t.Helper()
	mount := filepath.Join(t.TempDir(), "store")
	var s *storage.Store
	var err error
	if len(been) == 0 {
		s, err = storage.Create(t.Context(), disk, storage.CreateOptions{Key: key, MountPoint: mount, Overwrite: storage.OverwriteAnything})
	} else {
		s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: mount})
	}
	require.NoError(t, err)
	for _, cpu := range been {
		require.Equal(t, travelText(cpu), readFile(t, filepath.Join(mount, cpu)))
	}
	writeFile(t, filepath.Join(mount, runtime.GOARCH), travelText(runtime.GOARCH))
	require.NoError(t, s.Close())
}

func travelText(cpu string) string {
	return strings.Repeat(fmt.Sprintf("written on %s\n", cpu), 10_000)
}

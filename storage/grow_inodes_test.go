package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Whoever makes many small files does not outrun the growth either, once that has
// begun: not where a group has few inodes, as on huge devices, and not where the
// filesystem grows only as it fills.
func TestFilesNeverSeeALaggingSize(t *testing.T) {
	kernel(t)
	for name, tags := range map[string]storage.TagOptions{"tags on the device": {}, "tags in memory": inMemory} {
		t.Run(name, func(t *testing.T) {
			s := create(t, storagetest.Disk(t, 16*gib), storage.CreateOptions{
				Tags: tags, Filesystem: storage.FilesystemOptions{BytesPerInode: mib},
			})
			require.Eventually(t, func() bool { return growthOf(t, s).Bytes > gib }, time.Minute, 10*time.Millisecond)
			for n := range 6000 {
				if err := os.WriteFile(filepath.Join(s.MountPoint(), fmt.Sprint(n)), nil, 0o600); err != nil {
					require.NoError(t, err, "at %d MiB", growthOf(t, s).Bytes/mib)
				}
			}
		})
	}
}

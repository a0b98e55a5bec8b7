package mkfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trusted-store/trusted-store/mkfs"
)

// TestManyCreateAtOnce is the load under which inode tables that are written late fail: two CPUs that create in one block
// of a table each see the other's inode in the bitmap, and read the block. It needs a bed with several CPUs to prove
// anything, and runs in all.
func TestManyCreateAtOnce(t *testing.T) {
	const size, writers, each = 120 * mib, 16, 256
	device := neverWritten(t, size)
	formatDevice(t, device, size, mkfs.Options{})
	dir := mount(t, device, "")
	own := func(w int) string { return filepath.Join(dir, fmt.Sprint(w)) } // or they wait for one directory's lock
	for w := range writers {
		require.NoError(t, os.Mkdir(own(w), 0o755))
	}
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for i := range each {
				if err := os.Mkdir(filepath.Join(own(w), fmt.Sprint(i)), 0o755); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	unmount(t, dir)
	requireClean(t, device)
}

package mkfs_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// TestSeedGrowsBeyondEightTerabytes stays within the reserve where descriptors of 32 bytes fit it: nothing but the last
// blocks of the sizes on the way is read, and so has to be written before the mount.
func TestSeedGrowsBeyondEightTerabytes(t *testing.T) {
	storagetest.Kernel(t)
	if os.Getenv("TRUSTED_STORE_SOAK") == "" {
		t.Skip("e2fsck takes a minute for nine terabytes: TRUSTED_STORE_SOAK=1")
	}
	const size = 9 * tib
	disk := storagetest.Disk(t, size)
	o := mkfs.Options{Size: 512 * mib, GrowTo: size, BytesPerInode: 64 * mib}
	l := formatDevice(t, disk, size, o)
	growth := l.Geometry().Growth(size)
	dir := mount(t, disk, "")
	root, err := os.Open(dir)
	require.NoError(t, err)
	for at, more := growth.Next(l.Size()); more; at, more = growth.Next(at) {
		require.NoError(t, mkfs.Resize(root, at))
	}
	require.NoError(t, root.Close())
	requireGrown(t, dir, size)
	unmount(t, dir)
	requireClean(t, disk)
	fields := dumpe2fs(t, disk)
	require.Contains(t, fields["Filesystem features"], "resize_inode")
	require.NotContains(t, fields["Filesystem features"], "meta_bg")
	require.NotContains(t, fields["Filesystem features"], "64bit")
}

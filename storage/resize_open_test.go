package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// enlargeable returns a disk, and what gives it another size.
func enlargeable(t *testing.T, size int64) (disk string, resize func(size int64)) {
	t.Helper()
	file := storagetest.SparseFile(t, size)
	disk = storagetest.Attach(t, file, storagetest.DiskOptions{})
	return disk, func(size int64) {
		t.Helper()
		require.NoError(t, os.Truncate(file, size))
		require.NoError(t, loop.SetCapacity(disk))
	}
}

// grownFrom is the size of a device before it is enlarged: a journal of 3 sections.
const grownFrom = 64 * mib

// larger are sizes that it may get: odd ones, ones in the next run of
// tags, and one whose group descriptors need more room than a small filesystem keeps.
func larger() []int64 {
	return []int64{64*mib + 512, 64*mib + 4096, 80*mib + 3584, 300 * mib, 9 * gib}
}

// fewInodes makes growing quick.
var fewInodes = storage.FilesystemOptions{BytesPerInode: 64 << 10}

// A volume opens on a larger device, takes the new space, and cryptsetup opens what
// came of it.
func TestOpenOnALargerDevice(t *testing.T) {
	kernel(t)
	for _, size := range larger() {
		t.Run(fmt.Sprint(size), func(t *testing.T) { openLarger(t, size, storage.HMACSHA256) })
	}
	for _, size := range larger()[2:4] {
		t.Run(fmt.Sprintf("%d, plain", size), func(t *testing.T) { openLarger(t, size, storage.NoIntegrity) })
	}
}

func openLarger(t *testing.T, size int64, i storage.Integrity) {
	disk, resize := enlargeable(t, grownFrom)
	persistent(t, disk, longKey, "kept", storage.CreateOptions{Integrity: i, Filesystem: fewInodes})
	resize(size)
	log := storagetest.KernelLog(t)
	s := open(t, disk, longKey, storage.OpenOptions{Integrity: i})
	require.Equal(t, "kept", readFile(t, filepath.Join(s.MountPoint(), "f")))
	require.NoError(t, s.Grown(t.Context()))
	require.True(t, growthOf(t, s).Full())
	use(t, s.MountPoint())
	requireClean(t, s)
	requireNoErrors(t, log)
	require.NoError(t, s.Close())
	if i == storage.HMACSHA256 {
		layout, err := integrity.Plan(grownFrom/512, superblockOffset/512, integrity.DefaultJournal)
		require.NoError(t, err)
		layout, err = layout.Resize(uint64(size / 512))
		require.NoError(t, err)
		require.Equal(t, layout.Superblock().Bytes(), storagetest.ReadBlock(t, disk, superblockOffset/4096), "noted for the next time")
	}

	// Without integrity cryptsetup itself asks for whole blocks.
	if i == storage.HMACSHA256 || size%4096 == 0 {
		cryptsetupsOpen(t, disk, func(dir string) { require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f"))) })
	}
	s = open(t, disk, longKey, storage.OpenOptions{Integrity: i})
	require.True(t, growthOf(t, s).Full())
}

// cryptsetupsOpen has each cryptsetup open and close a volume.
func cryptsetupsOpen(t *testing.T, disk string, use func(dir string)) {
	t.Helper()
	for _, name := range storagetest.Cryptsetups() {
		cryptsetup := storagetest.Tool(t, name)
		tool(t, cryptsetup, "open", "--key-file", keyFile(t, longKey), disk, "theirs")
		mounted(t, "/dev/mapper/theirs", use)
		tool(t, cryptsetup, "close", "theirs")
	}
}

// cryptsetup opened it first on the larger device: the superblock says the new size,
// and nobody has written what the kernel reads while it grows the filesystem.
func TestOpenAfterCryptsetupOnALargerDevice(t *testing.T) {
	kernel(t)
	disk, resize := enlargeable(t, grownFrom)
	persistent(t, disk, longKey, "kept", storage.CreateOptions{})
	resize(300 * mib)
	tool(t, "cryptsetup", "open", "--key-file", keyFile(t, longKey), disk, "theirs")
	mounted(t, "/dev/mapper/theirs", func(dir string) { writeFile(t, filepath.Join(dir, "g"), "theirs") })
	require.NoError(t, storage.Close(t.Context(), "theirs"))
	log := storagetest.KernelLog(t)
	s := open(t, disk, longKey, storage.OpenOptions{})
	require.NoError(t, s.Grown(t.Context()))
	require.True(t, growthOf(t, s).Full())
	require.Equal(t, "kept", readFile(t, filepath.Join(s.MountPoint(), "f")))
	require.Equal(t, "theirs", readFile(t, filepath.Join(s.MountPoint(), "g")))
	requireClean(t, s)
	requireNoErrors(t, log)
}

// A volume and filesystem of other tools keep their contents on a larger device; a
// filesystem with checksums in its metadata keeps its size.
func TestOpenTheirsOnALargerDevice(t *testing.T) {
	kernel(t)
	for _, features := range []string{"metadata_csum", "^metadata_csum"} {
		t.Run(features, func(t *testing.T) {
			disk, resize := enlargeable(t, interopSize+512)
			file := keyFile(t, longKey)
			luksFormat(t, "cryptsetup", disk, file, "--integrity", "hmac-sha256", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
			tool(t, "cryptsetup", "open", "--key-file", file, disk, "theirs")
			tool(t, "mkfs.ext4", "-q", "-b", "4096", "-O", features, "/dev/mapper/theirs")
			mounted(t, "/dev/mapper/theirs", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "theirs") })
			tool(t, "cryptsetup", "close", "theirs")
			require.NoError(t, open(t, disk, longKey, storage.OpenOptions{}).Close(), "no whole number of blocks")
			resize(300*mib + 1024)
			log := storagetest.KernelLog(t)
			s := open(t, disk, longKey, storage.OpenOptions{})
			require.NoError(t, s.Grown(t.Context()))
			require.Equal(t, "theirs", readFile(t, filepath.Join(s.MountPoint(), "f")))
			growth := growthOf(t, s)
			require.True(t, growth.Full())
			require.Equal(t, features != "metadata_csum", growth.Bytes > 200*mib)
			writeFile(t, filepath.Join(s.MountPoint(), "g"), "ours")
			requireClean(t, s)
			requireNoErrors(t, log)
		})
	}
}

// A device of no whole number of blocks is as good as one a little smaller.
func TestOddSizes(t *testing.T) {
	kernel(t)
	for _, odd := range []int64{512, 3584} {
		size := grownFrom + odd
		for name, opts := range map[string]storage.CreateOptions{
			"ephemeral":      {},
			"tags in memory": {Tags: storage.TagOptions{Place: storage.TagsInMemory}},
			"plain":          {Integrity: storage.NoIntegrity},
			"persistent":     {Key: newKey(t, longKey)},
			"overwritten":    {Key: newKey(t, longKey), Overwrite: storage.OverwriteAnything},
		} {
			if odd > 512 && name != "persistent" {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d bytes more", name, odd), func(t *testing.T) {
				disk := storagetest.Disk(t, size)
				if opts.Overwrite == storage.OverwriteAnything {
					tool(t, "mkfs.ext4", "-q", disk)
				}
				checkOdd(t, disk, opts)
				if opts.Key == nil {
					return
				}
				s := open(t, disk, longKey, storage.OpenOptions{})
				require.DirExists(t, filepath.Join(s.MountPoint(), "d0"), "of use")
				require.NoError(t, s.Close())
				cryptsetupsOpen(t, disk, func(string) {})
			})
		}
	}
}

func checkOdd(t *testing.T, disk string, opts storage.CreateOptions) {
	t.Helper()
	s := create(t, disk, opts)
	use(t, s.MountPoint())
	requireClean(t, s)
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Problems)
	require.NoError(t, s.Close())
}

// A device that shrank is refused with both sizes, and stays as it is: also one
// without integrity, where only the filesystem tells.
func TestOpenOnASmallerDevice(t *testing.T) {
	kernel(t)
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			disk, resize := enlargeable(t, smallVolume)
			persistent(t, disk, longKey, "kept", k.create())
			resize(smallVolume - 4096)
			before := digest(t, disk)
			_, err := tryOpen(t, disk, longKey, k.open())
			require.ErrorIs(t, err, storage.ErrUnsuitable)
			if k != plainKind {
				require.ErrorIs(t, err, integrity.ErrShrunk)
				require.ErrorContains(t, err, "23.996 MiB")
				require.ErrorContains(t, err, "24.000 MiB")
			}
			require.Equal(t, before, digest(t, disk))
			resize(smallVolume)
			s := open(t, disk, longKey, k.open())
			require.Equal(t, "kept", readFile(t, filepath.Join(s.MountPoint(), "f")))
		})
	}
}

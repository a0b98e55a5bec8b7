package mkfs_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/ext4"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

// TestAnotherReaderUnderstandsIt lets go-diskfs, which shares no code with e2fsprogs, read an image. Its version 1.9.4
// reads only filesystems with checksums of inodes, and computes gdt_csum with another polynomial than the kernel; so it
// refuses what mke2fs makes with the same features. It gets a copy with the first added and without the second:
// what it judges are superblock, descriptors, inodes, extents and directories.
func TestAnotherReaderUnderstandsIt(t *testing.T) {
	for _, size := range []uint64{8 * mib, 129 * mib, 2500 * mib, 56 * gib} {
		image, l := formatImage(t, size, mkfs.Options{Label: "trusted", Journal: size > gib})
		addChecksums(t, image, l)
		storage, err := file.OpenFromPath(image, true)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, storage.Close()) })
		fs, err := ext4.Read(storage, int64(size), 0, 512)
		require.NoError(t, err)
		require.Equal(t, "trusted", strings.TrimRight(fs.Label(), "\x00"))

		entries, err := fs.ReadDir(".")
		require.NoError(t, err)
		var names []string
		for _, e := range entries {
			if n := e.Name(); n != "." && n != ".." {
				names = append(names, n)
				require.True(t, e.IsDir())
			}
		}
		require.Equal(t, []string{"lost+found"}, names)
	}
}

// addChecksums makes the few changes to an image that go-diskfs insists on.
func addChecksums(t *testing.T, image string, l *mkfs.Layout) {
	t.Helper()
	const featuresAt, gdtCsum = 1024 + 0x64, 0x10
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	flags := make([]byte, 1)
	readAt(t, f, flags, featuresAt)
	flags[0] &^= gdtCsum
	_, err = f.WriteAt(flags, featuresAt)
	require.NoError(t, err)

	descriptor := make([]byte, 64)
	readAt(t, f, descriptor, mkfs.BlockSize)
	table := uint64(binary.LittleEndian.Uint32(descriptor[8:])) * mkfs.BlockSize
	for _, number := range []uint32{2, 11} {
		inode := make([]byte, l.InodeSize)
		at := table + uint64(number-1)*uint64(l.InodeSize)
		readAt(t, f, inode, at)
		sum := crc32c(0, binary.LittleEndian.AppendUint32(nil, number))
		sum = crc32c(sum, make([]byte, 4)) // generation
		sum = crc32c(sum, inode)
		binary.LittleEndian.PutUint16(inode[0x7C:], uint16(sum))
		binary.LittleEndian.PutUint16(inode[0x82:], uint16(sum>>16))
		_, err = f.WriteAt(inode, int64(at))
		require.NoError(t, err)
	}
}

func crc32c(sum uint32, b []byte) uint32 {
	return ^crc32.Update(^sum, crc32.MakeTable(crc32.Castagnoli), b)
}

// dumpe2fs reads the superblock's fields as dumpe2fs names them.
func dumpe2fs(t *testing.T, image string) map[string]string {
	t.Helper()
	out, err := exec.Command(tool(t, "dumpe2fs"), "-h", image).Output()
	require.NoError(t, err)
	fields := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func TestSuperblockSaysWhatWasAskedFor(t *testing.T) {
	const base = "ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file " +
		"uninit_bg dir_nlink"
	image, l := formatImage(t, 2500*mib, mkfs.Options{Label: "trusted", GrowTo: tib})
	fields := dumpe2fs(t, image)
	for name, want := range map[string]string{
		"Filesystem volume name":  "trusted",
		"Filesystem UUID":         l.UUID.String(),
		"Filesystem features":     base + " extra_isize",
		"Filesystem flags":        "signed_directory_hash",
		"Default mount options":   "user_xattr acl",
		"Filesystem state":        "clean",
		"Errors behavior":         "Remount read-only",
		"Reserved block count":    "0",
		"Block size":              "4096",
		"Group descriptor size":   "64",
		"Reserved GDT blocks":     "127",
		"Flex block group size":   "16",
		"Maximum mount count":     "-1",
		"Check interval":          "0 (<none>)",
		"Inode size":              "256",
		"Required extra isize":    "32",
		"Default directory hash":  "half_md4",
		"Last mount time":         "n/a",
		"Reserved blocks uid":     "0 (user root)",
		"First inode":             "11",
		"Filesystem OS type":      "Linux",
		"Filesystem revision #":   "1 (dynamic)",
		"Filesystem magic number": "0xEF53",
		"Filesystem created":      fields["Last checked"],
		"Last mounted on":         "<not available>",
		"Desired extra isize":     "32",
		"Inodes per group":        "2048",
		"Reserved blocks gid":     "0 (group root)",
		"First block":             "0",
		"Blocks per group":        "32768",
		"Fragments per group":     "32768",
		"Mount count":             "0",
		"Fragment size":           "4096",
		"Inode blocks per group":  "128",
		"Directory Hash Seed":     fields["Directory Hash Seed"],
		"Free inodes":             "40949",
		"Inode count":             "40960",
		"Block count":             "640000",
		"Lifetime writes":         fields["Lifetime writes"],
		"Last write time":         fields["Last checked"],
		"Overhead clusters":       fields["Overhead clusters"],
		"Free blocks":             fields["Free blocks"],
	} {
		require.Equal(t, want, fields[name], name)
	}

	image, _ = formatImage(t, 2500*mib, mkfs.Options{Journal: true, InodeSize: 128})
	fields = dumpe2fs(t, image)
	require.Equal(t, "has_journal "+base, fields["Filesystem features"])
	require.Equal(t, "8", fields["Journal inode"])
	require.Equal(t, "inode blocks", fields["Journal backup"])
	require.Equal(t, "16M", fields["Total journal size"])
	require.Equal(t, "0", fields["Journal start"])
	require.Equal(t, "128", fields["Inode size"])
}

func TestDirectoriesAreAsTheyShouldBe(t *testing.T) {
	image, _ := formatImage(t, 64*mib, mkfs.Options{})
	out, err := exec.Command(tool(t, "debugfs"), "-R", "ls -lp /", image).Output()
	require.NoError(t, err)
	require.Equal(t, "/2/040755/0/0/.//\n/2/040755/0/0/..//\n/11/040700/0/0/lost+found//\n\n", string(out))
}

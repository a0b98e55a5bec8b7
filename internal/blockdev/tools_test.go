package blockdev_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// What the real tools write is recognised. A tool that is not installed is
// skipped, visibly.
func TestSignaturesOfRealTools(t *testing.T) {
	for _, test := range []struct{ want, command string }{
		{"ext2", "mke2fs -q -F -t ext2 IMAGE"},
		{"ext3", "mke2fs -q -F -t ext3 IMAGE"},
		{"ext4", "mke2fs -q -F -t ext4 IMAGE"},
		{"ext4", "mke2fs -q -F -t ext4 -O ^has_journal -b 4096 IMAGE"},
		{"ext4 (journal device)", "mke2fs -q -F -O journal_dev IMAGE"},
		{"swap (4096-byte pages)", "mkswap IMAGE"},
		{"xfs", "mkfs.xfs -q -f IMAGE"},
		{"btrfs", "mkfs.btrfs -q IMAGE"},
		{"vfat", "mkfs.vfat IMAGE"},
		{"vfat", "mkfs.vfat -F 32 IMAGE"},
		{"vfat", "mkfs.vfat -F 12 -S 4096 IMAGE"},
		{"exfat", "mkfs.exfat IMAGE"},
		{"ntfs", "mkntfs -q -F -Q IMAGE"},
		{"f2fs", "mkfs.f2fs -q IMAGE"},
		{"jfs", "mkfs.jfs -q IMAGE"},
		{"reiserfs", "mkreiserfs -q -ff IMAGE"},
		{"udf", "mkfs.udf IMAGE"},
		{"nilfs2", "mkfs.nilfs2 -q -f IMAGE"},
		{"gfs2", "mkfs.gfs2 -q -O -p lock_nolock IMAGE"},
		{"squashfs", "mksquashfs FILES IMAGE -noappend -quiet -no-progress"},
		{"erofs", "mkfs.erofs IMAGE FILES"},
		{"iso9660", "genisoimage -quiet -o IMAGE FILES"},
		{"LUKS1", "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --key-file KEY IMAGE"},
		{"LUKS2", "cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file KEY IMAGE"},
		{"LUKS2", "cryptsetup luksFormat -q --type luks2 --luks2-metadata-size 1m --luks2-keyslots-size 8m --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file KEY IMAGE"},
		{"dm-verity", "veritysetup format FILE IMAGE"},
		{"GPT", "sfdisk -q -X gpt IMAGE"},
		{"MBR", "sfdisk -q -X dos IMAGE"},
		{"bcache", "make-bcache -B IMAGE"},
	} {
		t.Run(test.command, func(t *testing.T) {
			path := runTool(t, test.command)
			f, err := os.Open(path)
			require.NoError(t, err)
			defer f.Close()
			info, err := f.Stat()
			require.NoError(t, err)
			found, err := blockdev.Signature(f, uint64(info.Size()))
			require.NoError(t, err)
			require.Equal(t, test.want, found.String())
		})
	}
}

// runTool runs a command on a new image and returns the image's path.
func runTool(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	tool, err := exec.LookPath(words[0])
	if err != nil {
		t.Skipf("not installed: %s", words[0])
	}
	dir := t.TempDir()
	image, file, key := filepath.Join(dir, "image"), filepath.Join(dir, "file"), filepath.Join(dir, "key")
	files := filepath.Join(dir, "files")
	require.NoError(t, os.WriteFile(key, []byte("passphrase"), 0o600))
	require.NoError(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
	require.NoError(t, os.MkdirAll(files, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(files, "readme"), []byte("text"), 0o600))
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 400<<20))
	fill := strings.NewReplacer("IMAGE", image, "FILES", files, "FILE", file, "KEY", key)
	for i := range words {
		words[i] = fill.Replace(words[i])
	}
	cmd := exec.Command(tool, words[1:]...)
	cmd.Stdin = strings.NewReader(",\n") // sfdisk: one partition
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return image
}

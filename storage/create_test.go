package storage_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestEphemeralStore(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	s := create(t, disk, storage.CreateOptions{})
	require.Regexp(t, `^encrypted_disk_[A-Z0-9]{5}$`, s.Name())
	writeFile(t, filepath.Join(s.MountPoint(), "layers/0/etc/hostname"), "guest")

	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, storage.StateMounted, status.State)
	require.Empty(t, status.Problems)
	require.Equal(t, []storage.Promise{storage.Confidentiality, storage.IntegrityOfBlocks}, status.Promises)
	require.Equal(t, "LUKS2 aes-xts-plain64 hmac(sha256) device direct keyring 4096 32768",
		fmt.Sprint(status.Type, " ", status.Cipher, " ", status.Integrity, " ", status.Tags, " ", status.Journal, " ",
			status.KeyLocation, " ", status.SectorSize, " ", status.Offset))
	require.Equal(t, s.UUID().String(), status.UUID)
	require.Equal(t, disk, status.Device)
	require.Equal(t, uint64(64*mib), status.DeviceBytes)
	require.Zero(t, status.IntegrityErrors.AtLeast)
	require.Equal(t, "ext4", status.Filesystem.Type)

	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice")
	_, err = storage.StatusOf(t.Context(), s.Name())
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.NoFileExists(t, s.Path())
}

func TestMountOptions(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{})
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "rw,nosuid,nodev,noatime", status.Mounts[0].Options)
	script := filepath.Join(s.MountPoint(), "run")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho ran\n"), 0o755))
	require.Equal(t, "ran\n", tool(t, script), "images hold executables")
}

// An ephemeral volume has no header that Open takes, but one that other tools
// understand and say the size of its key from, with no key slot to attack.
func TestEphemeralHeader(t *testing.T) { forEachCryptsetup(t, ephemeralHeader) }

func ephemeralHeader(t *testing.T, cryptsetup string) {
	for _, k := range kinds {
		disk := storagetest.Disk(t, 64*mib)
		s := create(t, disk, k.create())
		require.Equal(t, k.shown(), statusOf(t, cryptsetup, s.Name()))
		dump := tool(t, cryptsetup, "luksDump", disk)
		require.Contains(t, dump, s.UUID().String())
		require.Contains(t, dump, k.header().Cipher())
		require.NotContains(t, dump, "luks2\n\tKey:", "no key slot")
		require.Error(t, exec.Command(cryptsetup, "open", "--test-passphrase", "--key-file", keyFile(t, longKey), disk).Run())
		found, err := storage.Inspect(disk, storage.InspectOptions{Profile: k.profile()})
		require.NoError(t, err)
		require.True(t, found.Accepted(), "%+v", found)
		require.NoError(t, s.Close())

		_, err = storage.Open(t.Context(), disk, newKey(t, "anything"), k.open())
		require.ErrorIs(t, err, storage.ErrWrongKey)
	}
}

// Without integrity the sizes are those of the original how-to.
func TestWithoutIntegrity(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 2500*mib), storage.CreateOptions{Integrity: storage.NoIntegrity})
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Problems)
	require.Equal(t, uint64(32768), status.Offset)
	require.Equal(t, uint64(5087232), status.Sectors)
	require.Equal(t, []storage.Promise{storage.Confidentiality}, status.Promises)
	require.False(t, status.IntegrityErrors.Known, "nothing detects any")
	for _, cryptsetup := range storagetest.Cryptsetups() {
		require.Regexp(t, `(?s)type: +LUKS2.*cipher: +aes-xts-plain64.*keysize: +512 .*offset: +32768 .*size: +5087232 `, tool(t, cryptsetup, "status", s.Name()))
	}
}

func TestMappingOnly(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{MountPoint: storage.NoMount})
	require.Empty(t, s.MountPoint())
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, storage.StateMapped, status.State)
	require.Nil(t, status.Filesystem)
}

// What cryptsetup reports and closes is ours too.
func TestCryptsetupKnowsOurMapping(t *testing.T) { forEachCryptsetup(t, cryptsetupKnowsOurMapping) }

func cryptsetupKnowsOurMapping(t *testing.T, cryptsetup string) {
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{})
	require.Equal(t, status{"LUKS2", "aes-xts-plain64", 768, "keyring", "hmac(sha256)", 4096}, statusOf(t, cryptsetup, s.Name()))
	require.NoError(t, unix.Unmount(s.MountPoint(), 0))
	tool(t, cryptsetup, "close", s.Name())
	_, err := s.Status(t.Context())
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.NoError(t, s.Close(), "closed by somebody else is closed")
}

func TestDeviceByNumber(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(disk, &st))
	s := create(t, fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), storage.CreateOptions{})
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, disk, status.Device)
}

func TestCreateAgain(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	require.NoError(t, create(t, disk, storage.CreateOptions{}).Close())
	require.NoError(t, create(t, disk, storage.CreateOptions{}).Close(), "an ephemeral volume is nobody's data")

	require.NoError(t, create(t, disk, storage.CreateOptions{Key: newKey(t, "secret")}).Close())
	_, err := storage.Create(t.Context(), disk, storage.CreateOptions{})
	require.ErrorIs(t, err, storage.ErrNotBlank)
	require.NoError(t, create(t, disk, storage.CreateOptions{Overwrite: storage.OverwriteAnything}).Close())
}

// Create that was killed leaves no device that create refuses: of an ephemeral header
// that was being written or cleared one copy is there, or a part of one.
func TestHalfOfAnEphemeralHeaderIsBlank(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	const block, both = 4096, 32 << 10
	for _, key := range []*storage.Key{nil, newKey(t, "secret")} {
		require.NoError(t, create(t, disk, storage.CreateOptions{Key: key, Overwrite: storage.OverwriteAnything}).Close())
		whole := storagetest.ReadBytes(t, disk, 0, both)
		for cleared := block; cleared < both; cleared += block {
			storagetest.WriteBytes(t, disk, 0, append(make([]byte, cleared), whole[cleared:]...))
			s, err := storage.Create(t.Context(), disk, storage.CreateOptions{MountPoint: storage.NoMount})
			if key != nil && cleared <= both/2 {
				require.ErrorIs(t, err, storage.ErrNotBlank, "its second copy is there")
				continue
			}
			require.NoError(t, err, "%d bytes are cleared", cleared)
			require.NoError(t, s.Close())
		}
	}
}

// The smallest device is found by trying, so that the number in the documents
// stays true.
func TestSmallestDevice(t *testing.T) {
	kernel(t)
	for _, c := range []struct {
		integrity storage.Integrity
		key       *storage.Key
		blocks    int64
	}{
		{storage.HMACSHA256, nil, smallestEphemeral},
		{storage.NoIntegrity, nil, smallestPlain},
		{storage.HMACSHA256, newKey(t, "k"), smallestKeyed},
	} {
		opts := storage.CreateOptions{Integrity: c.integrity, Key: c.key, MountPoint: filepath.Join(t.TempDir(), "m")}
		_, err := storage.Create(t.Context(), storagetest.Disk(t, (c.blocks-1)*4096), opts)
		require.ErrorIs(t, err, storage.ErrUnsuitable)
		disk := storagetest.Disk(t, c.blocks*4096)
		s := create(t, disk, opts)
		writeFile(t, filepath.Join(s.MountPoint(), "f"), "x")
		require.NoError(t, unix.Unmount(s.MountPoint(), 0))
		storagetest.CheckFilesystem(t, s.Path())
		require.NoError(t, s.Close())
	}
}

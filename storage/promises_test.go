package storage_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A mapping that encrypts nothing, or in another way than a store's, promises nothing,
// whatever it is called. Newer kernels have no null cipher.
func TestOtherCipherPromisesNothing(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	made := 0
	for _, cipher := range []string{"cipher_null-ecb -", "aes-ecb " + strings.Repeat("00", 32)} {
		_, err := exec.Command("dmsetup", "create", "other", "--uuid", "CRYPT-LUKS2-"+id+"-other",
			"--table", fmt.Sprintf("0 %d crypt %s 0 %s 32768", smallVolume/512-32768, cipher, disk)).CombinedOutput()
		if err != nil {
			continue
		}
		made++
		status, err := storage.StatusOf(t.Context(), "other")
		tool(t, "dmsetup", "remove", "other")
		require.NoError(t, err)
		require.NotEmpty(t, status.Problems, cipher)
		require.Empty(t, status.Promises, cipher)
	}
	require.Positive(t, made)
}

// A mapping that is called as the lowest of the store, and is not below it.
func TestDataMappingBesideTheStore(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, smallVolume), storage.CreateOptions{MountPoint: storage.NoMount, Integrity: storage.NoIntegrity})
	below := s.Name() + "_data"
	tool(t, "dmsetup", "create", below, "--uuid", "CRYPT-SUBDEV-"+strings.ReplaceAll(uuid.NewString(), "-", "")+"-"+below,
		"--table", "0 8 linear "+storagetest.Disk(t, mib)+" 0")
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"mapping " + below + " is not what " + s.Name() + " is over"}, status.Problems)
	require.NoError(t, s.Close(), "takes it away too")
}

// A layer that does not work as it should keeps no promise of its own, nor one of
// what is above it.
func TestLayerWithProblemPromisesNothing(t *testing.T) {
	kernel(t)
	for _, tags := range []storage.TagsPlace{storage.TagsOnDevice, storage.TagsInMemory} {
		s := create(t, storagetest.Disk(t, smallVolume), storage.CreateOptions{
			MountPoint: storage.NoMount, Tags: storage.TagOptions{Place: tags},
		})
		for _, c := range []struct {
			layer string
			keeps []storage.Promise
		}{
			{s.Name(), []storage.Promise{}},
			{s.Name() + "_dif", []storage.Promise{storage.Confidentiality}},
			{s.Name() + "_data", []storage.Promise{storage.Confidentiality}},
		} {
			tool(t, "dmsetup", "suspend", c.layer)
			status, err := s.Status(t.Context())
			tool(t, "dmsetup", "resume", c.layer)
			require.NoError(t, err)
			require.NotEmpty(t, status.Problems, c.layer)
			require.Equal(t, c.keeps, status.Promises, c.layer)
			status, err = s.Status(t.Context())
			require.NoError(t, err)
			require.Empty(t, status.Problems)
			require.Contains(t, status.Promises, storage.IntegrityOfBlocks)
		}
	}
}

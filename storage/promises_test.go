package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A mapping that encrypts nothing promises nothing, whatever it is called.
func TestNullCipherPromisesNothing(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	tool(t, "dmsetup", "create", "null", "--uuid", "CRYPT-LUKS2-"+id+"-null",
		"--table", fmt.Sprintf("0 %d crypt cipher_null-ecb - 0 %s 32768", smallVolume/512-32768, disk))
	defer tool(t, "dmsetup", "remove", "null")
	status, err := storage.StatusOf(t.Context(), "null")
	require.NoError(t, err)
	require.NotEmpty(t, status.Problems)
	require.Empty(t, status.Promises)
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
			if tags == storage.TagsOnDevice && strings.HasSuffix(c.layer, "_data") {
				continue // there is no such layer
			}
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

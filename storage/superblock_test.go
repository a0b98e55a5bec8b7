package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// forged returns a disk whose host has its own at the superblock's place and
// behind it, and does not care what the guest writes there.
func forged(t *testing.T, disk string, own []byte) *storagetest.Faulty {
	t.Helper()
	other := storagetest.Disk(t, smallVolume)
	storagetest.WriteBytes(t, other, superblockOffset, own)
	host := storagetest.NewFaulty(t, disk)
	host.Set(t, storagetest.Fault{Offset: superblockOffset, Length: int64(len(own)), Kind: storagetest.Forged, With: other})
	return host
}

// One block stopped the guest's kernel: it says that dm-integrity ran with a bitmap,
// whose number does not fit, so dm-integrity would recalculate tags for which it has
// no hash, and no queue.
func TestForgedSuperblock(t *testing.T) {
	kernel(t)
	for name, opts := range map[string]storage.CreateOptions{"ephemeral": {}, "persistent": {Key: newKey(t, longKey)}} {
		t.Run(name, func(t *testing.T) {
			journal := integrity.MinimalJournal
			if opts.Key != nil {
				journal = integrity.DefaultJournal
			}
			layout, err := integrity.Plan(smallVolume/512, superblockOffset/512, journal)
			require.NoError(t, err)
			own := layout.Superblock()
			own.Flags |= 4
			own.Log2BlocksPerBitmapBit++

			host := forged(t, storagetest.Disk(t, smallVolume), own.Bytes())
			s := create(t, host.Path(), opts)
			file := filepath.Join(s.MountPoint(), "f")
			writeFile(t, file, "contents")
			require.Equal(t, "contents", readFile(t, file))
			status, err := s.Status(t.Context())
			require.NoError(t, err)
			require.Empty(t, status.Problems)
			require.NoError(t, s.Close())
		})
	}
}

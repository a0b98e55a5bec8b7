package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Whatever step it ends after, the store goes on as it was, and the next Resize, or the
// next Open, takes the space. Nothing that Resize made for itself stays.
func TestResizeEndsAfterEveryStep(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	file := storagetest.SparseFile(t, 64<<20)
	disk := storagetest.Attach(t, file, storagetest.DiskOptions{})
	dir := filepath.Join(t.TempDir(), "mount")
	key, err := NewKey([]byte("a key of no less than thirty-two bytes\xff"))
	require.NoError(t, err)
	defer key.Wipe()
	s, err := Create(t.Context(), disk, CreateOptions{Key: key, MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("contents"), 0o600))
	for i, name := range stepNames((&resizing{}).steps()) {
		for _, how := range []string{"failure", "interrupt"} {
			t.Run(how+" after "+name, func(t *testing.T) {
				require.NoError(t, s.Grown(t.Context()))
				before, err := s.Status(t.Context())
				require.NoError(t, err)
				require.NoError(t, os.Truncate(file, int64(before.DeviceBytes)+40<<20))
				require.NoError(t, loop.SetCapacity(disk))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opts, want := ResizeOptions{Grow: GrowLater, failAfter: failAt(name)}, errInjected
				if how == "interrupt" {
					opts = ResizeOptions{failAfter: cancelAt(name, cancel)}
					want = context.Canceled
				}
				require.ErrorIs(t, Resize(ctx, s.Name(), key, opts), want)
				got, err := s.Status(t.Context())
				require.NoError(t, err)
				require.Empty(t, got.Problems)
				require.NoFileExists(t, "/dev/mapper/"+s.Name()+newSuffix)
				if i%2 == 0 {
					require.NoError(t, s.Close())
					s, err = Open(t.Context(), disk, key, OpenOptions{MountPoint: dir})
					require.NoError(t, err)
				} else {
					require.NoError(t, Resize(t.Context(), s.Name(), key, ResizeOptions{}))
				}
				require.NoError(t, s.Grown(t.Context()))
				after, err := s.Status(t.Context())
				require.NoError(t, err)
				require.Greater(t, after.Growth.Bytes, before.Growth.Bytes+30<<20)
				require.True(t, after.Growth.Full())
				text, err := os.ReadFile(filepath.Join(dir, "f"))
				require.NoError(t, err)
				require.Equal(t, "contents", string(text))
			})
		}
	}
	require.NoError(t, s.Close())
}

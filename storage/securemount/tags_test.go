package securemount_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/securemount"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A service that goes on growing a store whose tags are in memory does not take the
// memory of all of it.
func TestAdoptedTagsInMemory(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	s, err := storage.Create(t.Context(), storagetest.Disk(t, 6<<30), storage.CreateOptions{
		Tags: storage.TagOptions{Place: storage.TagsInMemory}, MountPoint: filepath.Join(t.TempDir(), "store"), Grow: storage.GrowLater,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	server := securemount.New(securemount.Options{})
	defer server.Close()
	require.NoError(t, server.Adopt(t.Context()))
	growth := func() *storage.Growth {
		status, err := s.Status(t.Context())
		require.NoError(t, err)
		return status.Growth
	}
	require.Eventually(t, func() bool { return growth().Bytes > 384<<20 }, time.Minute, 10*time.Millisecond, "it grows")
	time.Sleep(3 * time.Second) // to do too much
	require.Less(t, growth().Bytes, growth().Target/2, "it grew without being used")
}

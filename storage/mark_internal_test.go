package storage

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// What a clean-up could not take away stays marked, and goes when it can.
func TestFailedCleanUpStaysUnfinished(t *testing.T) {
	storagetest.Kernel(t, "crypt")
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, 64<<20)
	var user *os.File
	_, err := Create(t.Context(), disk, CreateOptions{
		Name: "one", MountPoint: NoMount, Integrity: NoIntegrity,
		failAfter: func(step string) (err error) {
			if step != "activate encryption" {
				return nil
			}
			user, err = os.Open(dm.Path("one"))
			require.NoError(t, err)
			return errInjected
		},
	})
	require.ErrorIs(t, err, errInjected)
	status, err := StatusOf(t.Context(), "one")
	require.NoError(t, err)
	require.True(t, status.Unfinished)
	require.NoError(t, user.Close())
	require.NoError(t, CloseUnfinished(t.Context(), "one"))
	require.ErrorIs(t, CloseUnfinished(t.Context(), "one"), ErrNotFound)
}

// A store that is whole is nobody's to take away, and one that was closed is closed,
// also where only the mark of another is left of its name.
func TestWholeStoreIsNotUnfinished(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, 64<<20)
	s, err := Create(t.Context(), disk, CreateOptions{MountPoint: NoMount})
	require.NoError(t, err)
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.Unfinished)
	require.ErrorIs(t, CloseUnfinished(t.Context(), s.Name()), ErrBusy)
	require.NoError(t, Close(t.Context(), s.Name()))
	number, err := dm.ParseDevice(status.DeviceNumber)
	require.NoError(t, err)
	require.NoError(t, withControl(func(c *dm.Control) error { return mark(c, s.Name(), number) }))
	require.NoError(t, s.Close())
	require.NoError(t, CloseUnfinished(t.Context(), s.Name()))
}

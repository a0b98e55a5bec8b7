package storage

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Status says so when the superblock of a live store does not come from memory,
// and still finds the device.
func TestStatusOfAnotherDataTable(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, raceSize)
	s, err := Create(t.Context(), disk, CreateOptions{Name: "other", MountPoint: filepath.Join(t.TempDir(), "m")})
	require.NoError(t, err)
	control, err := dm.Open()
	require.NoError(t, err)
	defer control.Close()
	name := "other" + dataSuffix
	right, err := control.Table(name)
	require.NoError(t, err)
	number := right[0].Target.(dm.Linear).Device
	fromDisk := func(start, end uint64) dm.Line {
		return dm.Line{Start: start, Length: end - start, Target: dm.Linear{Device: number, Offset: start}}
	}
	const middle = dataSector + 8 + integrity.JournalSection
	for what, table := range map[string]dm.Table{
		"as before, all from the disk": {fromDisk(0, dataSector), fromDisk(dataSector, middle), fromDisk(middle, right.Sectors())},
		"two lines":                    {fromDisk(0, dataSector), fromDisk(dataSector, right.Sectors())},
	} {
		require.NoError(t, control.Load(name, table, dm.LoadOptions{}))
		require.NoError(t, control.Resume(name))
		status, err := s.Status(t.Context())
		require.NoError(t, err)
		require.Len(t, status.Problems, 1, what)
		require.Equal(t, disk, status.Device)
	}
	require.NoError(t, control.Load(name, right, dm.LoadOptions{}))
	require.NoError(t, control.Resume(name))
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Problems)
	require.Equal(t, disk, status.Device)
	require.NoError(t, s.Close())
}

package integrity_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A superblock that is not exactly ours is refused, and stays as it is: nothing
// formats it anew.
func TestReadRefusesHostileSuperblocks(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	disk := storagetest.Disk(t, 64<<20)
	m := mapping(t, disk, integrity.MinimalJournal, integrity.Direct)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
	for name, h := range hostile(m.Layout) {
		t.Run(name, func(t *testing.T) {
			want := h.superblock.Bytes()
			storagetest.WriteBlock(t, disk, offset/8, want)
			_, err := integrity.Read(m.Device, offset)
			requireRule(t, err, h.rule)
			require.Equal(t, want, storagetest.ReadBlock(t, disk, offset/8))
		})
	}
}

// A layout is for one size.
func TestDeviceOfAnotherSizeIsRefused(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	file := storagetest.SparseFile(t, 64<<20)
	disk := storagetest.Attach(t, file, storagetest.DiskOptions{})
	m := mapping(t, disk, integrity.MinimalJournal, integrity.Direct)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))

	require.NoError(t, os.Truncate(file, 65<<20))
	grown := storagetest.Attach(t, file, storagetest.DiskOptions{})
	m.Device = open(t, grown, os.O_RDWR)
	require.ErrorIs(t, integrity.Activate(t.Context(), m), integrity.ErrSizeChanged)
	layout, err := integrity.Read(m.Device, offset)
	require.NoError(t, err)
	require.Greater(t, layout.ProvidedSectors, m.Layout.ProvidedSectors)

	require.NoError(t, os.Truncate(file, 63<<20))
	shrunk := open(t, storagetest.Attach(t, file, storagetest.DiskOptions{}), os.O_RDWR)
	_, err = integrity.Read(shrunk, offset)
	requireRule(t, err, integrity.RuleProvided)
	require.ErrorIs(t, err, integrity.ErrShrunk)
}

func TestFormatFailsCleanly(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	disk := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	m := mapping(t, disk.Path(), integrity.MinimalJournal, integrity.Direct)
	at := int64(offset * sector)
	for name, fault := range map[string]storagetest.Fault{
		"superblock cannot be written": {Offset: at, Length: 4096, Kind: storagetest.FailWrites},
		"superblock cannot be read":    {Offset: at, Length: 4096, Kind: storagetest.FailAll},
		"journal cannot be written":    {Offset: at + 4096, Length: 4096, Kind: storagetest.FailAll},
	} {
		t.Run(name, func(t *testing.T) {
			disk.Set(t, fault)
			err := integrity.Format(t.Context(), m)
			t.Log(err)
			require.Error(t, err)
			_, err = control(t).Info(m.Name)
			require.ErrorIs(t, err, dm.ErrNotFound)
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, integrity.Format(ended, m), context.Canceled)
	disk.Set(t)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
}

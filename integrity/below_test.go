package integrity_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const at = offset * sector // of the superblock, in bytes

// The host answers the kernel's reads with every superblock that we refuse, or not
// at all: the kernel does not ask.
func TestActivateDoesNotReadTheDevicesSuperblock(t *testing.T) {
	storagetest.Kernel(t, "integrity", "linear", "flakey")
	disk, other := storagetest.Disk(t, 64<<20), storagetest.Disk(t, 64<<20)
	host := storagetest.NewFaulty(t, disk)
	m := mapping(t, host.Path(), integrity.MinimalJournal, integrity.Journaled)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
	want := storagetest.ReadBlock(t, disk, offset/8)
	require.Equal(t, m.Layout.Superblock().Bytes(), want)

	activate := func(t *testing.T) {
		require.NoError(t, integrity.Activate(t.Context(), m))
		require.Equal(t, want, storagetest.ReadBlock(t, dm.Path(integrity.Below(m.Name)), offset/8))
		require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
		require.Equal(t, want, storagetest.ReadBlock(t, disk, offset/8))
	}
	for name, h := range hostile(m.Layout) {
		t.Run(name, func(t *testing.T) {
			storagetest.WriteBlock(t, other, offset/8, h.superblock.Bytes())
			host.Set(t, storagetest.Fault{Offset: at, Length: 4096, Kind: storagetest.Forged, With: other})
			activate(t)
		})
	}
	t.Run("input/output error", func(t *testing.T) {
		host.Set(t, storagetest.Fault{Offset: at, Length: 4096, Kind: storagetest.FailAll})
		activate(t)
	})
}

// A new layer does not begin with what the device answers either; an ephemeral one
// needs nothing of the device where its journal would be.
func TestFormatDoesNotReadTheDevicesSuperblock(t *testing.T) {
	storagetest.Kernel(t, "integrity", "linear", "flakey")
	disk, other := storagetest.Disk(t, 64<<20), storagetest.Disk(t, 64<<20)
	host := storagetest.NewFaulty(t, disk)
	m := mapping(t, host.Path(), integrity.MinimalJournal, integrity.Direct)
	noise := make([]byte, m.Layout.InitialSectors*sector)
	_, err := rand.Read(noise)
	require.NoError(t, err)
	for name, own := range map[string][]byte{
		"noise":        noise[:4096],
		"dirty bitmap": hostile(m.Layout)["dirty bitmap"].superblock.Bytes(),
		"as it was":    m.Layout.Superblock().Bytes(),
	} {
		for _, ephemeral := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ephemeral: %t", name, ephemeral), func(t *testing.T) {
				storagetest.WriteBytes(t, other, at, own)
				host.Set(t, storagetest.Fault{Offset: at, Length: 4096, Kind: storagetest.Forged, With: other})
				m := m
				m.Ephemeral = ephemeral
				require.NoError(t, integrity.Format(t.Context(), m))
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
			})
		}
	}
	t.Run("no journal", func(t *testing.T) {
		host.Set(t, storagetest.Fault{Offset: at + 4096, Length: integrity.JournalSection * sector, Kind: storagetest.FailAll})
		m := m
		m.Ephemeral = true
		require.NoError(t, integrity.Format(t.Context(), m))
		require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
		require.Equal(t, m.Layout.Superblock().Bytes(), storagetest.ReadBlock(t, disk, offset/8), "for whoever looks at it")
	})
}

// What the device is left with is right for good: whatever is done with the
// mapping, the kernel changes nothing in its superblock.
func TestKernelLeavesTheSuperblock(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	c := control(t)
	for _, mode := range []integrity.Mode{integrity.Journaled, integrity.Direct} {
		t.Run(mode.String(), func(t *testing.T) {
			disk := storagetest.Disk(t, 64<<20)
			m := mapping(t, disk, integrity.DefaultJournal, mode)
			below := dm.Path(integrity.Below(m.Name))
			unchanged := func(after string) {
				t.Helper()
				require.Equal(t, m.Layout.Superblock().Bytes(), storagetest.ReadBlock(t, below, offset/8), after)
				require.Equal(t, m.Layout.Superblock().Bytes(), storagetest.ReadBlock(t, disk, offset/8), after)
			}
			require.NoError(t, integrity.Format(t.Context(), m))
			unchanged("format")
			require.NoError(t, c.Suspend(m.Name))
			unchanged("suspend")
			require.NoError(t, c.Resume(m.Name))
			unchanged("resume")
			storagetest.DropBuffers(t)
			unchanged("another table")
			require.NoError(t, c.Remove(t.Context(), m.Name))
			unchanged("remove")
			require.NoError(t, integrity.Deactivate(t.Context(), m.Name), "the one below")
			require.NoError(t, integrity.Activate(t.Context(), m))
			unchanged("activate")
			require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
		})
	}
}

// What takes the mapping's name, or its device, is left alone, and so is another
// program's mapping of that name.
func TestBelowIsOurs(t *testing.T) {
	storagetest.Kernel(t, "integrity", "error")
	c := control(t)
	m := mapping(t, storagetest.Disk(t, 64<<20), integrity.MinimalJournal, integrity.Direct)
	require.Equal(t, "it_data", integrity.Below(m.Name))
	_, err := c.Create("it_data", "ANOTHER-PROGRAM")
	require.NoError(t, err)
	require.ErrorIs(t, integrity.Format(t.Context(), m), integrity.ErrExists)
	require.ErrorIs(t, integrity.Deactivate(t.Context(), m.Name), integrity.ErrNotFound)
	require.NoError(t, c.Remove(t.Context(), "it_data"))

	_, err = c.Create(m.Name, "ANOTHER-PROGRAM")
	require.NoError(t, err)
	require.ErrorIs(t, integrity.Format(t.Context(), m), integrity.ErrExists)
	_, err = c.Info("it_data")
	require.ErrorIs(t, err, dm.ErrNotFound, "taken away again")
	require.NoError(t, c.Remove(t.Context(), m.Name))
}

func TestMappingIsChecked(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	m := mapping(t, storagetest.Disk(t, 64<<20), integrity.MinimalJournal, integrity.Direct)
	moved := m
	moved.DataStart = 8
	require.ErrorIs(t, integrity.Format(t.Context(), moved), integrity.ErrInvalid)
	gone := m
	gone.Ephemeral = true
	require.ErrorIs(t, integrity.Activate(t.Context(), gone), integrity.ErrInvalid)

	s := separate(t)
	defer func() { require.NoError(t, s.Tags.Close()) }()
	require.ErrorIs(t, integrity.Activate(t.Context(), s), integrity.ErrInvalid)
	s.DataStart = 8
	require.ErrorIs(t, integrity.Format(t.Context(), s), integrity.ErrSizeChanged, "beyond the end")
}

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

// A superblock that is not exactly ours is refused before the kernel sees it,
// and stays as it is: nothing formats it anew.
func TestActivateRefusesHostileSuperblocks(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	disk := storagetest.Disk(t, 64<<20)
	m := mapping(t, disk, integrity.MinimalJournal, integrity.Direct)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
	for name, h := range hostile(m.Layout) {
		t.Run(name, func(t *testing.T) {
			want := h.superblock.Bytes()
			storagetest.WriteBlock(t, disk, offset/8, want)
			err := integrity.Activate(t.Context(), m)
			requireRule(t, err, h.rule)
			require.Equal(t, want, storagetest.ReadBlock(t, disk, offset/8))
			_, err = control(t).Info(m.Name)
			require.ErrorIs(t, err, dm.ErrNotFound)
		})
	}
}

// A host that shows the right superblock to us and another to the kernel is
// found out by what the kernel made of it, or gains nothing: in the last three
// cases the kernel itself makes it the right one again.
func TestKernelSawAnotherSuperblock(t *testing.T) {
	storagetest.Kernel(t, "integrity", "linear")
	type sb = *integrity.Superblock
	for name, test := range map[string]struct {
		change func(sb)
		want   error
	}{
		"other journal":    {func(s sb) { s.JournalSections += 3 }, dm.ErrInvalidTable},
		"other interleave": {func(s sb) { s.Log2InterleaveSectors-- }, integrity.ErrKernelDisagrees},
		"old padding":      {func(s sb) { s.Flags, s.Version = 0, 1 }, integrity.ErrKernelDisagrees},
		"recalculating":    {func(s sb) { s.Flags |= 2 }, dm.ErrInvalidTable},
		"ignored bitmap":   {func(s sb) { s.Log2BlocksPerBitmapBit++ }, integrity.ErrSuperblockRejected},
		"ignored bytes":    {func(s sb) { s.Rest[9] = 1 }, integrity.ErrSuperblockRejected},
		"zeroed":           {func(s sb) { *s = integrity.Superblock{} }, nil},
		"dirty bitmap":     {func(s sb) { s.Flags |= 4 }, nil},
		"shrunk":           {func(s sb) { s.ProvidedSectors = 8 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lying := storagetest.Disk(t, 64<<20)
			faulty := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
			m := mapping(t, faulty.Path(), integrity.MinimalJournal, integrity.Direct)
			require.NoError(t, integrity.Format(t.Context(), m))
			require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
			s := m.Layout.Superblock()
			test.change(&s)
			storagetest.WriteBlock(t, lying, offset/8, s.Bytes())

			faulty.Set(t, storagetest.Fault{Offset: offset * sector, Length: 4096, Kind: storagetest.Replaced, With: lying})
			err := integrity.ActivateUnchecked(t.Context(), m)
			if test.want == nil {
				require.NoError(t, err)
				require.Equal(t, m.Layout.Superblock().Bytes(), storagetest.ReadBlock(t, lying, offset/8))
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
				return
			}
			require.ErrorIs(t, err, test.want)
			_, err = control(t).Info(m.Name)
			require.ErrorIs(t, err, dm.ErrNotFound)
		})
	}
}

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
	_, err := integrity.Read(m.Device, offset)
	requireRule(t, err, integrity.RuleProvided)
}

func TestFormatFailsCleanly(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	disk := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	m := mapping(t, disk.Path(), integrity.MinimalJournal, integrity.Direct)
	at := int64(offset * sector)
	for name, fault := range map[string]storagetest.Fault{
		"superblock cannot be written": {Offset: at, Length: 4096, Kind: storagetest.FailWrites},
		"superblock cannot be read":    {Offset: at, Length: 4096, Kind: storagetest.FailAll},
		"writes are dropped":           {Offset: at, Length: 4096, Kind: storagetest.DropWrites},
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

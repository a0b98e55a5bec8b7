package integrity_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Every layer opens on every larger device, grown once or more often: the journal
// stays, and every block and tag of before.
func TestLayoutsOfLargerDevicesOnEveryCPU(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		for _, size := range sizes() {
			first, err := integrity.Plan(size, offset, j)
			if err != nil {
				continue
			}
			now := first
			for range 5 {
				size += random.Uint64N(1 << (1 + random.UintN(34)))
				grown, err := now.Superblock().Layout(size, offset)
				require.NoError(t, err, "%+v on %d sectors", now, size)
				require.GreaterOrEqual(t, grown.ProvidedSectors, now.ProvidedSectors)
				require.Equal(t, size&^7, grown.DeviceSectors)
				require.Equal(t, first.JournalSections, grown.JournalSections)
				last := first.ProvidedSectors - 8
				require.Equal(t, first.DataSector(last), grown.DataSector(last))
				require.Equal(t, first.TagPosition(last), grown.TagPosition(last))
				now = grown
			}
			old := now.Superblock()
			old.Log2BlocksPerBitmapBit = first.Superblock().Log2BlocksPerBitmapBit
			again, err := old.Layout(size, offset)
			require.NoError(t, err, "the kernel leaves this number as it was")
			require.Equal(t, now.ProvidedSectors, again.ProvidedSectors)
		}
	}
}

// A device that is too small for its superblock is told from other damage, with both
// sizes; and not every size has every journal.
func TestShrunkAndImpossible(t *testing.T) {
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		l := plan(t, 200<<11, j)
		_, err := l.Superblock().Layout(200<<11-8, offset)
		var shrunk *integrity.ShrunkError
		require.ErrorAs(t, err, &shrunk)
		require.ErrorIs(t, err, integrity.ErrShrunk)
		requireRule(t, err, integrity.RuleProvided)
		require.Equal(t, integrity.ShrunkError{Need: 200 << 20, Have: 200<<20 - 4096, Rejected: shrunk.Rejected}, *shrunk)

		s := l.Superblock()
		s.Flags |= 2
		_, err = s.Layout(100<<11, offset)
		require.NotErrorIs(t, err, integrity.ErrShrunk, "that is not all")
		requireRule(t, err, integrity.RuleFlags)
		requireRule(t, err, integrity.RuleProvided)
	}
	s := plan(t, 200<<11, integrity.DefaultJournal).Superblock()
	s.JournalSections = plan(t, 400<<11, integrity.DefaultJournal).JournalSections
	_, err := s.Layout(1<<31, offset)
	requireRule(t, err, integrity.RuleJournal)
	s.JournalSections = plan(t, 100<<11, integrity.DefaultJournal).JournalSections
	_, err = s.Layout(1<<31, offset)
	require.NoError(t, err, "a device of 100 MiB that grew")
}

// The kernel accepts what we make of a superblock for a larger device, whoever wrote
// it; what it writes itself when it is given the device as it is is accepted by us.
func TestKernelOnALargerDevice(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		for _, to := range []int64{64<<20 + 512, 64<<20 + 4096, 300 << 20, 56 << 30} {
			t.Run(fmt.Sprintf("%v journal, to %d bytes", j, to), func(t *testing.T) {
				file := storagetest.SparseFile(t, 64<<20)
				m := mapping(t, storagetest.Attach(t, file, storagetest.DiskOptions{}), j, integrity.Journaled)
				require.NoError(t, integrity.Format(t.Context(), m))
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
				require.NoError(t, os.Truncate(file, to))
				disk := storagetest.Attach(t, file, storagetest.DiskOptions{})
				m.Device = open(t, disk, os.O_RDWR)

				before, layout, err := integrity.ReadSuperblock(m.Device, offset)
				require.NoError(t, err)
				m.Layout = layout
				require.NoError(t, integrity.Activate(t.Context(), m))
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
				require.Equal(t, before.Bytes(), storagetest.ReadBlock(t, disk, offset/8), "the device has it when it is written there")

				kernelResize(t, m.Device, before)
				theirs, again, err := integrity.ReadSuperblock(m.Device, offset)
				require.NoError(t, err)
				require.Equal(t, layout.ProvidedSectors, theirs.ProvidedSectors, "what the kernel makes of the same device")
				require.Equal(t, layout, again)
				require.NoError(t, integrity.WriteSuperblock(m.Device, layout))
				require.Equal(t, layout.Superblock().Bytes(), storagetest.ReadBlock(t, disk, offset/8))
			})
		}
	}
}

// kernelResize lets the kernel find the superblock on the device, as cryptsetup does.
func kernelResize(t *testing.T, disk *os.File, s integrity.Superblock) {
	t.Helper()
	c := control(t)
	const name = "kernel_resize"
	number, err := dm.DeviceOf(disk)
	require.NoError(t, err)
	_, err = c.Create(name, uuid.NewString())
	require.NoError(t, err)
	require.NoError(t, c.Load(name, dm.Table{{Length: s.ProvidedSectors, Target: dm.Integrity{
		Device: number, Offset: offset, TagSize: 32, Mode: 'J', BlockSize: 4096, FixPadding: true,
	}}}, dm.LoadOptions{}))
	require.NoError(t, c.Resume(name))
	require.NoError(t, c.Remove(t.Context(), name))
}

// A live layer gets larger while it is in use, from wherever an earlier attempt was
// cut off; what was written stays, and is there when it is activated again.
func TestResizeLive(t *testing.T) {
	storagetest.Kernel(t, "integrity", "linear")
	c := control(t)
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		for cut, mode := range []integrity.Mode{integrity.Journaled, integrity.Direct, integrity.Journaled} {
			t.Run(fmt.Sprintf("%v journal, %v, cut %d", j, mode, cut), func(t *testing.T) {
				file := storagetest.SparseFile(t, 64<<20)
				disk := storagetest.Attach(t, file, storagetest.DiskOptions{})
				m := mapping(t, disk, j, mode)
				require.NoError(t, integrity.Format(t.Context(), m))
				held := open(t, dm.Path(m.Name), os.O_RDWR)
				require.NoError(t, os.Truncate(file, 3<<30+512))
				require.NoError(t, loop.SetCapacity(disk))
				was := m.Layout
				var err error
				m.Layout, err = m.Layout.Resize((3<<30 + 512) / sector)
				require.NoError(t, err)
				if cut == 2 { // after the lower one
					live, err := c.Table(integrity.Below(m.Name))
					require.NoError(t, err)
					live[2].Length = m.Layout.DeviceSectors - live[2].Start
					require.NoError(t, c.Replace(integrity.Below(m.Name), live, dm.LoadOptions{}))
				}
				require.NoError(t, integrity.Resize(t.Context(), m))
				require.NoError(t, integrity.Resize(t.Context(), m), "once more")
				size, err := held.Seek(0, 2)
				require.NoError(t, err)
				require.Equal(t, int64(m.Layout.ProvidedSectors*sector), size)
				require.Equal(t, was.Superblock().Bytes(), storagetest.ReadBlock(t, disk, offset/8), "the device's own waits")
				require.NoError(t, held.Close())
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
				require.NoError(t, integrity.Activate(t.Context(), m))
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
			})
		}
	}
}

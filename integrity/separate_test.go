package integrity_test

import (
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestPlanSeparate(t *testing.T) {
	l, err := integrity.PlanSeparate(5087232 + 3)
	require.NoError(t, err)
	require.Equal(t, uint64(5087232), l.ProvidedSectors, "whole blocks")
	require.Equal(t, uint64(139264+311*65536), l.SeparateBytes())
	require.Equal(t, uint64(16), l.DataSector(16), "the data begins where the device does")
	require.Equal(t, uint64(139264+64), l.TagPosition(16))
	require.Equal(t, l.ProvidedSectors/8/16, l.TagSectors())
	for _, sectors := range []uint64{0, 7} {
		_, err = integrity.PlanSeparate(sectors)
		require.ErrorIs(t, err, integrity.ErrTooSmall)
	}
	_, err = integrity.PlanSeparate(math.MaxUint64)
	require.ErrorIs(t, err, integrity.ErrInvalid)
}

// What a budget covers never needs more than the budget.
func FuzzSeparateSectors(f *testing.F) {
	f.Add(uint64(2 << 20))
	f.Add(uint64(139264 + 65535))
	f.Fuzz(func(t *testing.T, budget uint64) {
		budget &= 1<<50 - 1
		sectors := integrity.SeparateSectors(budget)
		if sectors == 0 {
			require.Less(t, budget, uint64(139264+65536))
			return
		}
		l, err := integrity.PlanSeparate(sectors)
		require.NoError(t, err)
		require.LessOrEqual(t, l.SeparateBytes(), budget)
		more, err := integrity.PlanSeparate(sectors + 65536/32*8)
		require.NoError(t, err)
		require.Greater(t, more.SeparateBytes(), budget)
	})
}

// separate returns a mapping of a disk with its tags in memory.
func separate(t *testing.T) integrity.Mapping {
	t.Helper()
	disk := open(t, storagetest.Disk(t, 64<<20), os.O_RDWR)
	layout, err := integrity.PlanSeparate(64 << 11)
	require.NoError(t, err)
	tags, err := integrity.NewTagMemory(layout)
	require.NoError(t, err)
	t.Cleanup(func() { deactivate(t, "it_dif") })
	return integrity.Mapping{Name: "it_dif", UUID: uuid.New(), Device: disk, Layout: layout, Tags: tags, Mode: integrity.Direct}
}

func TestTagMemory(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	storagetest.CheckLeaks(t)
	m := separate(t)
	require.NoError(t, integrity.Format(t.Context(), m))
	device := metaDevice(t, m.Name)

	// Found again from the device alone, and it is the same memory.
	again, err := integrity.OpenTagMemory(device)
	require.NoError(t, err)
	before, most, err := m.Tags.Bytes()
	require.NoError(t, err)
	require.Equal(t, m.Layout.SeparateBytes(), most)
	require.Less(t, before, uint64(512<<10), "little is written when it is made")
	require.NoError(t, again.Reserve(m.Layout, 0, m.Layout.ProvidedSectors))
	after, _, err := m.Tags.Bytes()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, m.Layout.ProvidedSectors/8*32)
	require.ErrorIs(t, again.Reserve(m.Layout, 1, 8), integrity.ErrInvalid)
	require.NoError(t, again.Close())

	// It lives as long as the mapping, though nobody has it open.
	require.NoError(t, m.Tags.Close())
	_, err = os.Stat("/sys/dev/block/" + device.String() + "/loop/backing_file")
	require.NoError(t, err)
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
	_, err = integrity.OpenTagMemory(device)
	require.Error(t, err)
}

func metaDevice(t *testing.T, name string) dm.Device {
	t.Helper()
	deps, err := control(t).Deps(name)
	require.NoError(t, err)
	for _, d := range deps {
		if d.Major == 7 {
			if tags, err := integrity.OpenTagMemory(d); err == nil {
				require.NoError(t, tags.Close())
				return d
			}
		}
	}
	t.Fatal("no tag memory below")
	return dm.Device{}
}

// Signals, as a busy Go program gets them, interrupt the system call that takes
// memory.
func TestReserveIsNotInterrupted(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	l, err := integrity.PlanSeparate(16 << 30 / 512)
	require.NoError(t, err)
	tags, err := integrity.NewTagMemory(l)
	require.NoError(t, err)
	defer func() { require.NoError(t, tags.Close()) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, end := unix.Gettid(), make(chan struct{})
	defer close(end)
	go func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(2 * time.Millisecond):
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	require.NoError(t, tags.Reserve(l, 0, l.ProvidedSectors))
	taken, _, err := tags.Bytes()
	require.NoError(t, err)
	require.GreaterOrEqual(t, taken, l.ProvidedSectors/8*32)
}

func TestTagMemoryRefuses(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	beside, err := integrity.Plan(64<<11, 0, integrity.MinimalJournal)
	require.NoError(t, err)
	_, err = integrity.NewTagMemory(beside)
	require.ErrorIs(t, err, integrity.ErrInvalid)

	disk := open(t, storagetest.Disk(t, 64<<20), os.O_RDWR)
	number, err := dm.DeviceOf(disk)
	require.NoError(t, err)
	_, err = integrity.OpenTagMemory(number)
	require.ErrorIs(t, err, integrity.ErrInvalid, "a loop device over something else")

	m := separate(t)
	defer func() { require.NoError(t, m.Tags.Close()) }()
	without := m
	without.Tags = nil
	require.ErrorIs(t, integrity.Format(t.Context(), without), integrity.ErrInvalid)
}

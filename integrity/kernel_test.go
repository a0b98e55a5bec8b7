package integrity_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

const (
	sector = 512
	offset = 32768 // sectors: behind a LUKS2 header
)

// open opens a device until the end of the test.
func open(t testing.TB, path string, mode int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, mode, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() }) // closed by now, or only read
	return f
}

func control(t testing.TB) *dm.Control {
	t.Helper()
	c, err := dm.Open()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func mapping(t testing.TB, disk string, j integrity.Journal, m integrity.Mode) integrity.Mapping {
	t.Helper()
	f := open(t, disk, os.O_RDWR)
	info, err := f.Seek(0, 2)
	require.NoError(t, err)
	layout, err := integrity.Plan(uint64(info)/sector, offset, j)
	require.NoError(t, err)
	t.Cleanup(func() { deactivate(t, "it_dif") })
	return integrity.Mapping{Name: "it_dif", UUID: uuid.New(), Device: f, Layout: layout, Mode: m}
}

// deactivate removes what a failed test may have left.
func deactivate(t testing.TB, name string) {
	err := integrity.Deactivate(context.Background(), name)
	if !errors.Is(err, integrity.ErrNotFound) {
		require.NoError(t, err)
	}
}

func TestFormatAndActivate(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	c := control(t)
	for _, j := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
		for _, mode := range []integrity.Mode{integrity.Journaled, integrity.Direct} {
			t.Run(fmt.Sprintf("%v journal, %v", j, mode), func(t *testing.T) {
				disk := storagetest.Disk(t, 200<<20)
				m := mapping(t, disk, j, mode)
				require.NoError(t, integrity.Format(t.Context(), m))
				info, err := c.Info(m.Name)
				require.NoError(t, err)
				require.True(t, info.Live && !info.ReadOnly)
				require.Regexp(t, `^CRYPT-SUBDEV-[0-9a-f]{32}-it_dif$`, info.UUID)
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))

				got, err := integrity.Read(m.Device, offset)
				require.NoError(t, err)
				require.Equal(t, m.Layout, got)

				other := m
				other.Mode = integrity.Journaled + integrity.Direct - mode
				other.Layout = got
				require.NoError(t, integrity.Activate(t.Context(), other))
				require.ErrorIs(t, integrity.Activate(t.Context(), other), integrity.ErrExists)
				other.Name = "it2_dif"
				defer deactivate(t, other.Name)
				require.ErrorIs(t, integrity.Activate(t.Context(), other), integrity.ErrBusy)
				require.ErrorIs(t, integrity.Format(t.Context(), other), integrity.ErrBusy)
				require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
				require.ErrorIs(t, integrity.Deactivate(t.Context(), m.Name), integrity.ErrNotFound)
			})
		}
	}
}

func TestActivateReadOnly(t *testing.T) {
	storagetest.Kernel(t, "integrity")
	disk := storagetest.Disk(t, 64<<20)
	m := mapping(t, disk, integrity.MinimalJournal, integrity.Journaled)
	require.NoError(t, integrity.Format(t.Context(), m))
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
	m.ReadOnly = true
	require.NoError(t, integrity.Activate(t.Context(), m))
	info, err := control(t).Info(m.Name)
	require.NoError(t, err)
	require.True(t, info.ReadOnly)
	require.NoError(t, integrity.Deactivate(t.Context(), m.Name))
}

func BenchmarkFormat(b *testing.B) {
	storagetest.Kernel(b, "integrity")
	for _, gib := range []int64{2, 56, 1024} {
		for _, j := range []integrity.Journal{integrity.MinimalJournal, integrity.DefaultJournal} {
			b.Run(fmt.Sprintf("%dGiB/%v", gib, j), func(b *testing.B) {
				m := mapping(b, storagetest.Disk(b, gib<<30), j, integrity.Direct)
				for b.Loop() {
					require.NoError(b, integrity.Format(b.Context(), m))
					require.NoError(b, integrity.Deactivate(b.Context(), m.Name))
				}
			})
		}
	}
}

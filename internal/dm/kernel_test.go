package dm_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

func openControl(t *testing.T, features ...string) *dm.Control {
	t.Helper()
	storagetest.Kernel(t, features...)
	c, err := dm.Open()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func numberOf(t *testing.T, path string) dm.Device {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	d, err := dm.DeviceOf(f)
	require.NoError(t, err)
	return d
}

// create makes a mapping that is removed at the end of the test.
func create(t *testing.T, c *dm.Control, name, uuid string) dm.Device {
	t.Helper()
	d, err := c.Create(name, uuid)
	require.NoError(t, err)
	t.Cleanup(func() {
		err := c.Remove(t.Context(), name)
		if !errors.Is(err, dm.ErrNotFound) {
			require.NoError(t, err)
		}
	})
	return d
}

func load(t *testing.T, c *dm.Control, name string, table dm.Table) {
	t.Helper()
	require.NoError(t, c.Load(name, table, dm.LoadOptions{}))
	require.NoError(t, c.Resume(name))
}

func zeros(sectors uint64) dm.Table { return dm.Table{{Length: sectors, Target: dm.Zero{}}} }

func TestLifecycle(t *testing.T) {
	c := openControl(t, "linear", "error", "zero")
	disk := storagetest.Disk(t, 1<<20)
	below := numberOf(t, disk)

	number := create(t, c, "life", "TEST-life")
	info, err := c.Info("life")
	require.NoError(t, err)
	require.Equal(t, dm.Info{Name: "life", UUID: "TEST-life", Device: number}, info)
	live, err := c.Table("life")
	require.NoError(t, err)
	require.Empty(t, live)

	table := dm.Table{
		{Start: 0, Length: 8, Target: dm.Linear{Device: below, Offset: 16}},
		{Start: 8, Length: 8, Target: dm.Error{}},
		{Start: 16, Length: 8, Target: dm.Zero{}},
	}
	require.NoError(t, c.Load("life", table, dm.LoadOptions{}))
	info, err = c.Info("life")
	require.NoError(t, err)
	require.True(t, info.Inactive && !info.Live)
	require.NoFileExists(t, dm.Path("life"))

	require.NoError(t, c.Resume("life"))
	info, err = c.Info("life")
	require.NoError(t, err)
	require.True(t, info.Live && !info.Inactive && !info.Suspended && !info.ReadOnly)
	require.Equal(t, number, numberOf(t, dm.Path("life")))
	stat, err := os.Stat(dm.Path("life"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), stat.Mode().Perm())

	live, err = c.Table("life")
	require.NoError(t, err)
	require.NoError(t, table.Matches(live))
	deps, err := c.Deps("life")
	require.NoError(t, err)
	require.Equal(t, []dm.Device{below}, deps)

	require.NoError(t, c.Suspend("life"))
	info, err = c.Info("life")
	require.NoError(t, err)
	require.True(t, info.Suspended)
	require.NoError(t, c.Resume("life"))

	require.NoError(t, c.Remove(t.Context(), "life"))
	require.NoFileExists(t, dm.Path("life"))
	_, err = c.Info("life")
	require.ErrorIs(t, err, dm.ErrNotFound)
}

func TestNamesAndUUIDsAreUnique(t *testing.T) {
	c := openControl(t)
	create(t, c, "unique", "TEST-unique")
	_, err := c.Create("unique", "TEST-other")
	require.ErrorIs(t, err, dm.ErrExists)
	_, err = c.Create("other", "TEST-unique")
	require.ErrorIs(t, err, dm.ErrExists)
	_, err = c.Create("un/ique", "")
	require.ErrorIs(t, err, dm.ErrInvalidName)
	_, err = c.Create("long-uuid", strings.Repeat("u", 129))
	require.ErrorIs(t, err, dm.ErrInvalidName)
}

func TestLongestNameAndUUID(t *testing.T) {
	c := openControl(t, "zero")
	name, uuid := strings.Repeat("n", 127), strings.Repeat("u", 128)
	create(t, c, name, uuid)
	load(t, c, name, zeros(8))
	info, err := c.Info(name)
	require.NoError(t, err)
	require.Equal(t, name, info.Name)
	require.Equal(t, uuid, info.UUID)
	require.NoError(t, c.Remove(t.Context(), name))
	require.NoFileExists(t, dm.Path(name))
}

func TestNotFound(t *testing.T) {
	c := openControl(t)
	_, tableErr := c.Table("absent")
	_, statusErr := c.Status("absent")
	_, depsErr := c.Deps("absent")
	_, infoErr := c.Info("absent")
	_, badErr := c.Info("../control")
	_, messageErr := c.Message("absent", 0, "x")
	for _, err := range []error{
		tableErr, statusErr, depsErr, infoErr, badErr, messageErr,
		c.Load("absent", zeros(8), dm.LoadOptions{}), c.Resume("absent"), c.Suspend("absent"), c.Clear("absent"),
		c.Remove(t.Context(), "absent"),
	} {
		require.ErrorIs(t, err, dm.ErrNotFound)
		var op *dm.OpError
		require.ErrorAs(t, err, &op)
		require.NotEmpty(t, op.Op)
	}
	require.NoFileExists(t, dm.Path("absent"))
}

func TestRemoveWaitsForTheLastUser(t *testing.T) {
	c := openControl(t, "zero")
	create(t, c, "inuse", "")
	load(t, c, "inuse", zeros(8))
	f, err := os.Open(dm.Path("inuse"))
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = c.Remove(ctx, "inuse")
	require.ErrorIs(t, err, dm.ErrBusy)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.FileExists(t, dm.Path("inuse"))

	time.AfterFunc(200*time.Millisecond, func() { _ = f.Close() })
	start := time.Now()
	require.NoError(t, c.Remove(t.Context(), "inuse"))
	require.GreaterOrEqual(t, time.Since(start), 190*time.Millisecond)
	require.NoFileExists(t, dm.Path("inuse"))
}

func TestRemoveWithEndedContextTriesOnce(t *testing.T) {
	c := openControl(t)
	create(t, c, "ended", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, c.Remove(ctx, "ended"))
}

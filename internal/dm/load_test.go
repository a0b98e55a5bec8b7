package dm_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestReloadWhileLive(t *testing.T) {
	c := openControl(t, "error", "zero")
	create(t, c, "reload", "")
	load(t, c, "reload", dm.Table{{Length: 8, Target: dm.Error{}}})
	load(t, c, "reload", zeros(16))
	live, err := c.Table("reload")
	require.NoError(t, err)
	require.NoError(t, zeros(16).Matches(live))
}

func TestClearGivesTheDeviceBack(t *testing.T) {
	c := openControl(t, "linear")
	disk := storagetest.Disk(t, 1<<20)
	create(t, c, "clear", "")
	require.NoError(t, c.Load("clear", dm.Table{{Length: 8, Target: dm.Linear{Device: numberOf(t, disk)}}}, dm.LoadOptions{}))
	_, err := os.OpenFile(disk, os.O_RDWR|os.O_EXCL, 0)
	require.ErrorIs(t, err, unix.EBUSY)
	require.NoError(t, c.Clear("clear"))
	f, err := os.OpenFile(disk, os.O_RDWR|os.O_EXCL, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestReadOnly(t *testing.T) {
	c := openControl(t, "linear")
	below := numberOf(t, storagetest.Disk(t, 1<<20))
	create(t, c, "ro", "")
	require.NoError(t, c.Load("ro", dm.Table{{Length: 8, Target: dm.Linear{Device: below}}}, dm.LoadOptions{ReadOnly: true}))
	require.NoError(t, c.Resume("ro"))
	info, err := c.Info("ro")
	require.NoError(t, err)
	require.True(t, info.ReadOnly)
	f, err := os.OpenFile(dm.Path("ro"), os.O_RDWR, 0)
	if err == nil { // Linux lets a reader-writer in and refuses the writes
		_, err = f.WriteAt(make([]byte, 4096), 0)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	require.Error(t, err)
}

func TestLoadErrors(t *testing.T) {
	c := openControl(t, "linear", "crypt")
	disk := storagetest.Disk(t, 1<<20)
	below := numberOf(t, disk)
	create(t, c, "bad", "")
	for name, test := range map[string]struct {
		target dm.Target
		length uint64
		want   error
		says   string
	}{
		"target that no kernel has": {kind("nosuchtarget"), 8, dm.ErrNotSupported, "dm-nosuchtarget"},
		"beyond the device":         {dm.Linear{Device: below, Offset: 2048}, 8, dm.ErrInvalidTable, "log"},
		"no such device":            {dm.Linear{Device: dm.Device{Major: 259, Minor: 9999}}, 8, dm.ErrInvalidTable, "device below"},
		"key that nobody has":       {dm.Crypt{Cipher: dm.XTSPlain64, KeySize: 64, KeyDescription: "test:absent", Device: below}, 8, unix.ENOKEY, "logon key"},
		"cipher that no kernel has": {dm.Crypt{Cipher: 99, KeySize: 64, KeyDescription: "test:absent", Device: below}, 8, dm.ErrNotSupported, "authenc"},
	} {
		err := c.Load("bad", dm.Table{{Length: test.length, Target: test.target}}, dm.LoadOptions{})
		require.Error(t, err, name)
		if test.want != nil {
			require.ErrorIs(t, err, test.want, name)
		}
		require.ErrorContains(t, err, test.says, name)
		t.Logf("%s: %v", name, err)
	}
	info, err := c.Info("bad")
	require.NoError(t, err)
	require.False(t, info.Inactive || info.Live)
}

func TestLoadOnBusyDevice(t *testing.T) {
	c := openControl(t, "linear")
	disk := storagetest.Disk(t, 1<<20)
	f, err := os.OpenFile(disk, os.O_RDWR|os.O_EXCL, 0)
	require.NoError(t, err)
	create(t, c, "busybelow", "")
	table := dm.Table{{Length: 8, Target: dm.Linear{Device: numberOf(t, disk)}}}
	require.ErrorIs(t, c.Load("busybelow", table, dm.LoadOptions{}), dm.ErrBusy)
	require.NoError(t, f.Close())
	require.NoError(t, c.Load("busybelow", table, dm.LoadOptions{}))
}

func TestUnused(t *testing.T) {
	c := openControl(t, "linear")
	disk := storagetest.Disk(t, 1<<20)
	f, err := os.Open(disk)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, dm.Unused(f))
	create(t, c, "uses", "")
	table := dm.Table{{Length: 8, Target: dm.Linear{Device: numberOf(t, disk)}}}
	require.NoError(t, c.Load("uses", table, dm.LoadOptions{}))
	require.ErrorIs(t, dm.Unused(f), dm.ErrBusy)

	// The kernel would let a second mapping share the disk.
	create(t, c, "shares", "")
	require.NoError(t, c.Load("shares", table, dm.LoadOptions{}))
	require.NoError(t, c.Remove(t.Context(), "shares"))
	require.NoError(t, c.Remove(t.Context(), "uses"))
	require.NoError(t, dm.Unused(f))
}

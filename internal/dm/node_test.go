package dm_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

func TestStaleNodes(t *testing.T) {
	c := openControl(t, "zero")
	path := dm.Path("stale")
	for name, leave := range map[string]func() error{
		"node of another device": func() error { return unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(259, 77))) },
		"link to nothing":        func() error { return os.Symlink("../dm-99999", path) },
		"link to another device": func() error { return os.Symlink("../loop0", path) },
	} {
		number := create(t, c, "stale", "")
		require.NoError(t, leave(), name)
		load(t, c, "stale", zeros(8))
		require.Equal(t, number, numberOf(t, path), name)
		require.NoError(t, c.Remove(t.Context(), "stale"))
		require.NoFileExists(t, path)
	}
}

func TestFileInTheWayIsKept(t *testing.T) {
	c := openControl(t, "zero")
	path := dm.Path("inway")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	create(t, c, "inway", "")
	require.NoError(t, c.Load("inway", zeros(8), dm.LoadOptions{}))
	require.ErrorIs(t, c.Resume("inway"), dm.ErrNoNode)
	require.ErrorIs(t, c.Remove(t.Context(), "inway"), dm.ErrNoNode)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
	require.NoError(t, os.Remove(path))
	_, err = c.Info("inway")
	require.ErrorIs(t, err, dm.ErrNotFound)
}

func TestNodeOfOthersIsKept(t *testing.T) {
	c := openControl(t, "zero")
	path := dm.Path("others")
	create(t, c, "others", "")
	load(t, c, "others", zeros(8))
	require.NoError(t, os.Remove(path))
	require.NoError(t, unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(259, 77))))
	require.NoError(t, c.Remove(t.Context(), "others"))
	require.FileExists(t, path)
	require.NoError(t, os.Remove(path))
}

func TestOpenMakesTheControlNode(t *testing.T) {
	openControl(t)
	node := filepath.Join(dm.Dir, "control")
	want, err := os.Stat(node)
	require.NoError(t, err)
	rdev := func(info os.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Rdev) }
	for name, leave := range map[string]func() error{
		"missing": func() error { return nil },
		"stale":   func() error { return unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 254))) },
	} {
		require.NoError(t, os.Remove(node))
		require.NoError(t, leave())
		c, err := dm.Open()
		require.NoError(t, err, name)
		require.NoError(t, c.Close())
		got, err := os.Stat(node)
		require.NoError(t, err)
		require.Equal(t, rdev(want), rdev(got), name)
	}
	require.NoError(t, os.Remove(node))
	require.NoError(t, os.WriteFile(node, nil, 0o600))
	_, err = dm.Open()
	require.ErrorIs(t, err, dm.ErrNoNode)
	require.NoError(t, os.Remove(node))
	c, err := dm.Open()
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// On a machine without device-mapper the error says what is missing.
func TestOpenWithoutDeviceMapper(t *testing.T) {
	misc, err := os.ReadFile("/proc/misc")
	require.NoError(t, err)
	if strings.Contains(string(misc), "device-mapper") {
		t.Skip("this machine has device-mapper")
	}
	_, err = dm.Open()
	require.ErrorIs(t, err, dm.ErrNotSupported)
	require.ErrorContains(t, err, "CONFIG_BLK_DEV_DM")
	var op *dm.OpError
	require.ErrorAs(t, err, &op)
}

// A node is left when whoever removes a mapping is killed in between. That of a mapping
// which is there stays.
func TestRemoveStale(t *testing.T) {
	c := openControl(t, "zero")
	number := create(t, c, "there", "")
	load(t, c, "there", zeros(8))
	require.NoError(t, unix.Mknod(dm.Path("stale"), unix.S_IFBLK|0o600, int(unix.Mkdev(number.Major, number.Minor))))
	require.NoError(t, c.RemoveStale("there"))
	require.Equal(t, number, numberOf(t, dm.Path("there")))
	require.NoError(t, c.RemoveStale("stale"))
	require.NoFileExists(t, dm.Path("stale"))
	require.NoError(t, c.RemoveStale("stale"), "nothing is there")
	require.NoError(t, c.Remove(t.Context(), "there"))
}

package loop_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// attach attaches a file until the end of the test.
func attach(t *testing.T, path string, o loop.Options) *loop.Device {
	t.Helper()
	d, err := loop.Attach(path, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		if !o.Autoclear {
			require.NoError(t, loop.Detach(d.Path()))
		}
	})
	return d
}

func TestAttachAndDetach(t *testing.T) {
	storagetest.Kernel(t)
	file := storagetest.SparseFile(t, 1<<20)
	d, err := loop.Attach(file, loop.Options{})
	require.NoError(t, err)
	got, err := loop.BackingFile(d.Path())
	require.NoError(t, err)
	require.Equal(t, file, got)
	all, err := loop.List()
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, d.Path(), all[0].Path)
	require.Equal(t, file, all[0].Backing)
	require.Regexp(t, `^7:\d+$`, all[0].Number)

	_, err = d.File().WriteAt([]byte("through"), 4096)
	require.NoError(t, err)
	require.NoError(t, d.File().Sync())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "through", string(text[4096:4103]))

	require.NoError(t, d.Close())
	require.NoError(t, loop.Detach(d.Path()))
	_, err = loop.BackingFile(d.Path())
	require.ErrorIs(t, err, loop.ErrNotAttached)
	require.ErrorIs(t, loop.Detach(d.Path()), loop.ErrNotAttached)
	var op *loop.OpError
	require.ErrorAs(t, loop.Detach("/dev/loop4711"), &op)
	require.ErrorIs(t, op, loop.ErrNotAttached)
}

func TestReadOnly(t *testing.T) {
	storagetest.Kernel(t)
	file := storagetest.SparseFile(t, 1<<20)
	require.NoError(t, os.Chmod(file, 0o400))
	d := attach(t, file, loop.Options{ReadOnly: true})
	ro, err := unix.IoctlGetUint32(int(d.File().Fd()), unix.BLKROGET)
	require.NoError(t, err)
	require.EqualValues(t, 1, ro)
}

func TestBlockSize(t *testing.T) {
	storagetest.Kernel(t)
	for _, size := range []int{0, 512, 1024, 4096} {
		d := attach(t, storagetest.SparseFile(t, 1<<20), loop.Options{BlockSize: size})
		got, err := unix.IoctlGetUint32(int(d.File().Fd()), unix.BLKSSZGET)
		require.NoError(t, err)
		require.EqualValues(t, max(size, 512), got)
	}
	_, err := loop.Attach(storagetest.SparseFile(t, 1<<20), loop.Options{BlockSize: 1000})
	require.ErrorIs(t, err, unix.EINVAL)
}

func TestAutoclear(t *testing.T) {
	storagetest.Kernel(t)
	d, err := loop.Attach(storagetest.SparseFile(t, 1<<20), loop.Options{Autoclear: true})
	require.NoError(t, err)
	_, err = loop.BackingFile(d.Path())
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Eventually(t, func() bool {
		_, err := loop.BackingFile(d.Path())
		return err != nil
	}, time.Minute, 5*time.Millisecond)
}

// A memory file needs no path and may be closed: the device keeps it.
func TestAttachMemoryFile(t *testing.T) {
	storagetest.Kernel(t)
	fd, err := unix.MemfdCreate("tags", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "tags")
	require.NoError(t, f.Truncate(1<<20))
	d, err := loop.AttachFile(f, loop.Options{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	want := bytes.Repeat([]byte("m"), 4096)
	_, err = d.File().WriteAt(want, 8192)
	require.NoError(t, err)
	require.Equal(t, want, storagetest.ReadBlock(t, d.Path(), 2))
	require.NoError(t, d.Close())
	require.NoError(t, loop.Detach(d.Path()))
}

// Detaching a device that is open succeeds; the last close finishes it.
func TestDetachOfAnOpenDevice(t *testing.T) {
	storagetest.Kernel(t)
	d, err := loop.Attach(storagetest.SparseFile(t, 1<<20), loop.Options{})
	require.NoError(t, err)
	require.NoError(t, loop.Detach(d.Path()))
	require.NoError(t, d.Close())
	require.Eventually(t, func() bool {
		_, err := loop.BackingFile(d.Path())
		return err != nil
	}, time.Minute, 5*time.Millisecond)
}

func TestAttachOnManyCPUs(t *testing.T) {
	storagetest.Kernel(t)
	const n = 32
	dir := t.TempDir()
	devices, errs := make([]*loop.Device, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		file := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte{byte(i)}, 8192), 0o600))
		all.Go(func() { devices[i], errs[i] = loop.Attach(file, loop.Options{}) })
	}
	all.Wait()
	paths := map[string]bool{}
	for i, d := range devices {
		require.NoError(t, errs[i])
		paths[d.Path()] = true
		require.Equal(t, byte(i), storagetest.ReadBlock(t, d.Path(), 1)[0])
		require.NoError(t, d.Close())
		require.NoError(t, loop.Detach(d.Path()))
	}
	require.Len(t, paths, n, "two files got one device")
}

func TestAttachMissingFile(t *testing.T) {
	storagetest.Kernel(t)
	_, err := loop.Attach(filepath.Join(t.TempDir(), "absent"), loop.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotErrorIs(t, err, loop.ErrNotSupported)
}

package securemount

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A request that fails while it waits for the size takes its own store away, and
// none that has the name by then.
func TestOnlyItsOwnStoreIsTakenBack(t *testing.T) {
	s := serve(t, Options{})
	first := request(t, storagetest.Disk(t, small), newDir(t), "mapperName", "chosen")
	r, err := ParseRequest(first)
	require.NoError(t, err)
	m := &mounting{Server: s.Server, r: &r, device: r.DeviceID}
	_, made, err := m.findOrMake(t.Context())
	require.NoError(t, err)
	require.NotNil(t, made)
	s.unmountStore(t, "chosen")
	other := s.do(t, request(t, storagetest.Disk(t, small), newDir(t), "mapperName", "chosen"))
	require.NoError(t, m.takeBack(made))
	live, err := storage.StatusOf(t.Context(), "chosen")
	require.NoError(t, err)
	require.Equal(t, other.UUID, live.UUID)
	s.unmountStore(t, "chosen")

	_, made, err = m.findOrMake(t.Context())
	require.NoError(t, err)
	require.NoError(t, m.takeBack(made))
	_, err = storage.StatusOf(t.Context(), "chosen")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// A service that was started anew takes a link away that an earlier one made.
func TestLinkOfAnEarlierService(t *testing.T) {
	s := serve(t, Options{})
	link := filepath.Join(t.TempDir(), "device")
	s.do(t, request(t, storagetest.Disk(t, small), link, "targetType", "device"))
	s.restart(t)
	s.unmountStore(t, link)
	_, err := os.Lstat(link)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A pipe that nobody writes to does not hold the service.
func TestKeyFileIsAFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, "/dev/zero", t.TempDir()} {
		source, err := ParseKeySource("file://" + path)
		require.NoError(t, err)
		_, err = New(Options{}).loadKey(t.Context(), source)
		require.ErrorContains(t, err, "no regular file")
	}
}

// A store that somebody made without a header, and that is not mounted, is not taken
// for half-made: its contents exist nowhere else.
func TestStoreWithoutHeaderStays(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	req := request(t, disk, dir)
	theirs, err := storage.Create(t.Context(), disk, storage.CreateOptions{
		MountPoint: dir, Tags: storage.TagOptions{Place: storage.TagsInMemory}, Header: storage.HeaderOmitted,
	})
	require.NoError(t, err)
	writeFile(t, filepath.Join(dir, "f"), "kept")
	require.NoError(t, theirs.Grown(t.Context()))
	require.NoError(t, unix.Unmount(dir, 0))
	s.restart(t)
	require.Equal(t, theirs.UUID().String(), s.do(t, req).UUID)
	require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
}

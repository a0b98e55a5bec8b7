package storage_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// watchIntegrity watches until the test ends.
func watchIntegrity(t *testing.T) <-chan storage.IntegrityEvent {
	t.Helper()
	events, ended := make(chan storage.IntegrityEvent, 1000), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- storage.WatchIntegrity(ctx, func(e storage.IntegrityEvent) { events <- e }) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return events
}

// A read that fails is told with its store, block and file.
func TestWatchIntegrity(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, verifySize)
	other := create(t, storagetest.Disk(t, verifySize), storage.CreateOptions{})
	s := create(t, disk, storage.CreateOptions{})
	name := filepath.Join(s.MountPoint(), "a", "file")
	writeFile(t, name, strings.Repeat("contents", 2000))
	unix.Sync()
	layout, err := integrity.Plan(verifySize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	block := blockOf(t, name, 1)
	storagetest.FlipBit(t, disk, int64(layout.DataSector(block*8))*512+77)
	storagetest.DropBuffers(t)
	events := watchIntegrity(t)
	want := storage.IntegrityEvent{Name: s.Name(), UUID: s.UUID().String(), Failures: 1, Unreadable: []storage.Unreadable{{
		Sector: block * 8, Sectors: 8, Cause: storage.Unauthentic,
		Holds: mkfs.ContentFile, Inode: inodeOf(t, name), Paths: []string{"/a/file"},
	}}}
	var got storage.IntegrityEvent
	require.Eventually(t, func() bool { // from when it watches on
		_, err := readDirect(t, name, 4096)
		require.ErrorIs(t, err, unix.EILSEQ)
		select {
		case got = <-events:
			return true
		case <-time.After(time.Millisecond):
			return false
		}
	}, time.Minute, 10*time.Millisecond)
	require.Positive(t, got.Failures)
	got.Failures = 1
	require.Equal(t, want, got)
	require.NotEqual(t, other.Name(), got.Name)
	require.NoError(t, s.Close())
	require.NoError(t, other.Close())
}

// readDirect reads a block of a file past the page cache.
func readDirect(t *testing.T, name string, at int64) ([]byte, error) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	block, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(block)) }()
	n, err := f.ReadAt(block, at)
	return append([]byte(nil), block[:n]...), err
}

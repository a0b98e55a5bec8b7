package storage_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

var inMemory = storage.TagOptions{Place: storage.TagsInMemory}

func tagStatus(t *testing.T, s *storage.Store) *storage.Status {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	require.NotNil(t, status.TagMemory)
	return status
}

// All that a store with its tags in memory says of itself, and that nothing of it
// stays, its memory neither (CheckLeaks looks for the loop device).
func TestTagsInMemory(t *testing.T) {
	kernel(t)
	for _, header := range []storage.HeaderMode{storage.HeaderWritten, storage.HeaderOmitted} {
		const size = 2500 * mib
		s := create(t, storagetest.Disk(t, size), storage.CreateOptions{Tags: inMemory, Header: header})
		status := tagStatus(t, s)
		require.Equal(t, storage.StateMounted, status.State)
		require.Empty(t, status.Problems)
		require.Equal(t, []storage.Promise{storage.Confidentiality, storage.IntegrityOfBlocks, storage.Freshness}, status.Promises)
		require.Equal(t, "memory", status.Tags)
		require.Equal(t, uint64(size), status.DeviceBytes)
		offset := map[storage.HeaderMode]uint64{storage.HeaderWritten: 32768, storage.HeaderOmitted: 0}[header]
		require.Equal(t, offset, status.Offset)
		require.Equal(t, size/512-offset, status.Sectors, "no tags on the device")
		require.Less(t, status.TagMemory.Bytes, uint64(4*mib), "before anything was written")
		require.Less(t, status.TagMemory.Limit, uint64(20*mib))
		require.NoError(t, s.Grown(t.Context()), "it grows as it fills: nothing to wait for")

		writeFile(t, filepath.Join(s.MountPoint(), "f"), "contents")
		requireClean(t, s)
		require.Equal(t, "contents", readFile(t, filepath.Join(s.MountPoint(), "f")))
		require.NoError(t, s.Close())
	}
}

// cryptsetup shows such a store, and closes all of it.
func TestCryptsetupClosesTagsInMemory(t *testing.T) {
	forEachCryptsetup(t, cryptsetupClosesTagsInMemory)
}

func cryptsetupClosesTagsInMemory(t *testing.T, cryptsetup string) {
	s := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{Tags: inMemory})
	shown := statusOf(t, cryptsetup, s.Name())
	require.Equal(t, "aes-xts-plain64", shown.cipher)
	require.Equal(t, 768, shown.keyBits)
	unmountStore(t, s)
	tool(t, cryptsetup, "close", s.Name())
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, s.Close())
}

// Whoever grows the store, and whenever, finds the memory again.
func TestTagsInMemoryGrow(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 6*gib), storage.CreateOptions{Tags: inMemory, Grow: storage.GrowLater})
	before := tagStatus(t, s).TagMemory.Bytes
	require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{Size: 2 * gib}))
	half := tagStatus(t, s)
	require.GreaterOrEqual(t, half.TagMemory.Bytes, half.Growth.Bytes/4096*32, "taken for all that may be written")
	require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}))
	full := tagStatus(t, s)
	require.True(t, full.Growth.Full())
	t.Logf("%d KiB at first, %d at 2 GiB, %d of %d at full size", before/1024, half.TagMemory.Bytes/1024,
		full.TagMemory.Bytes/1024, full.TagMemory.Limit/1024)
	require.LessOrEqual(t, full.TagMemory.Bytes, full.TagMemory.Limit)
	requireClean(t, s)
}

// What a store that grows as it fills takes is about what was written, and a
// writer never sees the size of the moment.
func TestTagsInMemoryGrowAsUsed(t *testing.T) {
	kernel(t)
	const size = 56 * gib
	s := create(t, largeDisk(t, size), storage.CreateOptions{Tags: inMemory, Overwrite: storage.OverwriteAnything})
	limit := int64(repeats(400, 1200)) * mib
	require.Equal(t, limit, writeOn(t, s, limit), "no space at %d MiB", growthOf(t, s).Bytes/mib)
	status := tagStatus(t, s)
	t.Logf("%d MiB written: %d MiB of %d, tags %d KiB", limit/mib, status.Growth.Bytes/mib, status.Growth.Target/mib, status.TagMemory.Bytes/1024)
	require.Less(t, status.Growth.Bytes, uint64(8*gib))
	require.GreaterOrEqual(t, status.TagMemory.Bytes, status.Growth.Bytes/4096*32)
	require.Less(t, status.TagMemory.Bytes, status.Growth.Bytes/4096*32+mib)
}

// Without a header the data begins where one would be: what Create cleared there is on
// the device before anything else, and does not come over it later.
func TestNothingComesOverTheDataWithoutHeader(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 256*mib), storage.CreateOptions{Tags: inMemory, Header: storage.HeaderOmitted})
	writeFile(t, filepath.Join(s.MountPoint(), "f"), "contents")
	unmountStore(t, s)
	storagetest.DropBuffers(t) // which writes what waits in the page cache of the device
	mountStore(t, s)
	requireClean(t, s)
}

// A budget that is too small refuses with the figures, or makes the store smaller:
// then the filesystem is full before the memory is, and nothing synced is lost.
func TestTagBudget(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 2500*mib)
	opts := storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory, MemoryLimit: 2 * mib}, MountPoint: filepath.Join(t.TempDir(), "store")}
	_, err := storage.Create(t.Context(), disk, opts)
	require.ErrorIs(t, err, storage.ErrNotSupported)
	require.ErrorContains(t, err, "tags of 2.4 GiB take up to 20 MiB of memory, but may take 2.0 MiB")
	require.Equal(t, make([]byte, 8), storagetest.ReadBytes(t, disk, 0, 8), "nothing was touched")

	opts.Tags.MemoryLimit = 1 << 50
	_, err = storage.Create(t.Context(), disk, opts)
	require.ErrorIs(t, err, storage.ErrNotSupported)
	require.ErrorContains(t, err, "are available")

	limit := uint64(repeats(1, 2)) * mib
	opts.Tags.MemoryLimit, opts.Tags.Short = limit, storage.ShrinkStore
	budget, err := storage.PlanTags(disk, opts)
	require.NoError(t, err)
	require.False(t, budget.Enough())
	s := create(t, disk, opts)
	status := tagStatus(t, s)
	require.Equal(t, budget.Covered, status.Sectors*512)
	require.LessOrEqual(t, status.TagMemory.Limit, limit)
	fillAndVerify(t, s)
	require.LessOrEqual(t, tagStatus(t, s).TagMemory.Bytes, limit)
}

// fillAndVerify writes until the filesystem is full, and reads all of it from the
// device.
func fillAndVerify(t *testing.T, s *storage.Store) {
	t.Helper()
	chunk := make([]byte, mib)
	_, _ = rand.Read(chunk)
	var files []string
	for i := 0; ; i++ {
		path := filepath.Join(s.MountPoint(), fmt.Sprint("full-", i))
		err := os.WriteFile(path, chunk, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			require.NoError(t, os.Remove(path))
			break
		}
		require.NoError(t, err)
		files = append(files, path)
	}
	unix.Sync()
	storagetest.DropBuffers(t)
	for _, path := range files {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(chunk, got), path)
	}
	t.Logf("%d MiB", len(files))
}

func TestTagsInMemoryRefuse(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, 64*mib)
	for name, test := range map[string]struct {
		opts storage.CreateOptions
		want error
	}{
		"key":                    {storage.CreateOptions{Tags: inMemory, Key: newKey(t, longKey)}, storage.ErrInvalid},
		"no integrity":           {storage.CreateOptions{Tags: inMemory, Integrity: storage.NoIntegrity}, storage.ErrInvalid},
		"no header on a device":  {storage.CreateOptions{Header: storage.HeaderOmitted}, storage.ErrInvalid},
		"memory, tags on device": {storage.CreateOptions{Tags: storage.TagOptions{MemoryLimit: mib}}, storage.ErrInvalid},
		"too little for a block": {storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory, MemoryLimit: 64 << 10, Short: storage.ShrinkStore}}, storage.ErrUnsuitable},
	} {
		_, err := storage.Create(t.Context(), disk, test.opts)
		require.ErrorIs(t, err, test.want, name)
	}
	swap := storagetest.Disk(t, 16*mib)
	tool(t, "mkswap", swap)
	path, err := unix.BytePtrFromString(swap)
	require.NoError(t, err)
	require.Zero(t, swapCall(unix.SYS_SWAPON, path))
	_, err = storage.Create(t.Context(), disk, storage.CreateOptions{Tags: inMemory})
	require.Zero(t, swapCall(unix.SYS_SWAPOFF, path))
	require.ErrorIs(t, err, storage.ErrNotSupported)
	require.ErrorContains(t, err, "swap")
}

func swapCall(call uintptr, path *byte) unix.Errno {
	_, _, errno := unix.Syscall(call, uintptr(unsafe.Pointer(path)), 0, 0)
	return errno
}

// 16 writers fill a store to what its tags' memory covers, in a guest that may have
// next to no memory: the filesystem says that it is full, nothing that was synced is
// lost, and nobody is killed.
func TestTagsUnderPressure(t *testing.T) {
	kernel(t)
	log := storagetest.KernelLog(t)
	opts := storage.CreateOptions{Overwrite: storage.OverwriteAnything}
	opts.Tags = storage.TagOptions{Place: storage.TagsInMemory, MemoryLimit: 2 * mib, Short: storage.ShrinkStore}
	s := create(t, largeDisk(t, 6*gib), opts)
	writers := make([]writer, 16)
	var load errgroup.Group
	for i := range writers {
		w := &writers[i]
		*w = writer{filepath.Join(s.MountPoint(), fmt.Sprint(i)), map[string]contents{}}
		load.Go(func() error {
			if err := w.run(t.Context(), gib); !errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("ended with %w", err)
			}
			return nil
		})
	}
	require.NoError(t, load.Wait())
	unix.Sync()
	storagetest.DropBuffers(t)
	for i := range writers {
		require.NotEmpty(t, writers[i].files)
		writers[i].verify(t)
	}
	requireNoErrors(t, log)
	for _, text := range []string{"Out of memory", "oom-kill", "Buffer I/O error", "lost async page write"} {
		require.Empty(t, log.Matching(t, text))
	}
	status := tagStatus(t, s)
	require.LessOrEqual(t, status.TagMemory.Bytes, status.TagMemory.Limit)
	t.Logf("%d MiB available, %d KiB of tags", status.Filesystem.AvailableBytes/mib, status.TagMemory.Bytes/1024)
}

// What tags in memory cost where an image fills the device: next to nothing beside
// the tags themselves.
func TestTagsOfAFullDevice(t *testing.T) {
	kernel(t)
	if !soak() {
		t.Skip("fills two stores: TRUSTED_STORE_SOAK=1")
	}
	const size, image = 2500 * mib, 2150 * 1000 * 1000
	disk, held := largeDisk(t, size), map[storage.TagsPlace]int64{}
	for _, place := range []storage.TagsPlace{storage.TagsOnDevice, storage.TagsInMemory} {
		dir := filepath.Join(t.TempDir(), "store")
		before := memoryAvailable(t)
		s, err := storage.Create(t.Context(), disk, storage.CreateOptions{
			MountPoint: dir, Tags: storage.TagOptions{Place: place}, Overwrite: storage.OverwriteAnything})
		require.NoError(t, err)
		require.GreaterOrEqual(t, writeOn(t, s, image), int64(image))
		storagetest.DropBuffers(t)
		held[place] = before - memoryAvailable(t)
		require.NoError(t, s.Close())
	}
	more := held[storage.TagsInMemory] - held[storage.TagsOnDevice]
	t.Logf("%d KiB with tags on the device, %d KiB with tags in memory: %d KiB more",
		held[storage.TagsOnDevice]/1024, held[storage.TagsInMemory]/1024, more/1024)
	require.LessOrEqual(t, more, int64(24*mib))
}

// memoryAvailable is MemAvailable in bytes, after what can be given back was.
func memoryAvailable(t *testing.T) (bytes int64) {
	t.Helper()
	unix.Sync()
	require.NoError(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
	runtime.GC()
	time.Sleep(time.Second)
	_, rest, found := strings.Cut(readFile(t, "/proc/meminfo"), "MemAvailable:")
	require.True(t, found)
	_, err := fmt.Sscan(rest, &bytes)
	require.NoError(t, err)
	return bytes << 10
}

// A store that is mounted again goes on growing as it fills, not to its full size.
func TestTagsInMemoryMountedAgain(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 6*gib), storage.CreateOptions{Tags: inMemory, Grow: storage.GrowLater})
	unmountStore(t, s)
	again, err := storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: s.MountPoint()})
	require.NoError(t, err)
	require.NoError(t, again.Grown(t.Context()), "nothing to wait for")
	requireRoomOnly(t, again)
	require.NoError(t, again.Close())
}

// requireRoomOnly gives a grower the time to do too much.
func requireRoomOnly(t *testing.T, s *storage.Store) {
	t.Helper()
	require.Eventually(t, func() bool { return growthOf(t, s).Bytes > 384*mib }, time.Minute, 10*time.Millisecond, "it grows")
	time.Sleep(3 * time.Second)
	growth := growthOf(t, s)
	require.Less(t, growth.Bytes, growth.Target/2, "it grew without being used")
}

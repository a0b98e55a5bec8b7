package storage_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// moments is how often a test stops growing somewhere on the way.
func moments() int {
	if soak() {
		return 20
	}
	return 4
}

// awaitMoment returns at some moment while a store grows, and not when it has
// grown: after a random part of the next quarter of what is left.
func awaitMoment(t *testing.T, s *storage.Store) {
	t.Helper()
	g := growthOf(t, s)
	if left := (g.Target - g.Bytes) / 4; left > 0 {
		moment := g.Bytes + rand.Uint64N(left)
		grown := func() bool { g = growthOf(t, s); return g.Bytes >= moment }
		require.Eventually(t, grown, time.Minute, time.Millisecond)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))) // into a step
}

// stoppable is the size of a store on which growing is stopped again and again.
func stoppable() int64 {
	if soak() {
		return 56 * gib
	}
	return 8 * gib
}

// Close stops growing between two steps, at any moment, and the filesystem that it
// leaves is clean; the next Open goes on.
func TestGrowthStoppedByClose(t *testing.T) {
	kernel(t)
	size := stoppable()
	disk := largeDisk(t, size)
	key := newKey(t, longKey)
	dir := filepath.Join(t.TempDir(), "store")
	s, err := storage.Create(t.Context(), disk, storage.CreateOptions{Key: key, MountPoint: dir, Overwrite: storage.OverwriteAnything})
	require.NoError(t, err)
	for range moments() {
		awaitMoment(t, s)
		began := time.Now()
		require.NoError(t, s.Close())
		took := time.Since(began)
		s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: dir, Grow: storage.GrowLater})
		require.NoError(t, err)
		t.Logf("closed in %v at %d MiB", took, growthOf(t, s).Bytes/mib)
		requireClean(t, s)
		require.NoError(t, s.Close())
		s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: dir})
		require.NoError(t, err)
	}
	require.NoError(t, s.Grown(t.Context()))
	requireFull(t, s, size)
	requireClean(t, s)
	require.NoError(t, s.Close())
}

// A store that cannot be closed goes on growing.
func TestGrowthGoesOnAfterFailedClose(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 4*gib), storage.CreateOptions{})
	f, err := os.Create(filepath.Join(s.MountPoint(), "open"))
	require.NoError(t, err)
	require.ErrorIs(t, s.Close(), storage.ErrBusy)
	require.NoError(t, s.Grown(t.Context()))
	require.True(t, growthOf(t, s).Full())
	require.NoError(t, f.Close())
}

// TestGrowChild is the process that other tests start to grow a store.
func TestGrowChild(t *testing.T) {
	name := os.Getenv("GROW_CHILD")
	if name == "" {
		t.Skip("runs as a process of another test")
	}
	require.NoError(t, storage.Grow(t.Context(), name, storage.GrowOptions{}))
}

// A grower that is killed at any moment leaves a clean filesystem, and no lock.
func TestGrowthKilled(t *testing.T) {
	kernel(t)
	log := storagetest.KernelLog(t)
	size := stoppable()
	s := create(t, largeDisk(t, size), storage.CreateOptions{Grow: storage.GrowLater, Overwrite: storage.OverwriteAnything})
	for range moments() {
		child := exec.Command(os.Args[0], "-test.run=^TestGrowChild$")
		child.Env = append(os.Environ(), "GROW_CHILD="+s.Name())
		require.NoError(t, child.Start())
		grows := func() bool { g := growthOf(t, s); return g.Full() || g.Grower == child.Process.Pid }
		require.Eventually(t, grows, time.Minute, time.Millisecond)
		awaitMoment(t, s)
		require.NoError(t, child.Process.Kill())
		_ = child.Wait()
		g := growthOf(t, s)
		t.Logf("killed at %d MiB", g.Bytes/mib)
		require.Zero(t, g.Grower)
		requireNoErrors(t, log)
		requireClean(t, s)
		log = storagetest.KernelLog(t)
	}
	require.NoError(t, storage.Grow(t.Context(), s.MountPoint(), storage.GrowOptions{}))
	requireFull(t, s, size)
	requireClean(t, s)
}

// A power cut while a keyed store grows: from one moment on, nothing reaches the
// device any more.
func TestGrowthCutOff(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity", "flakey")
	storagetest.CheckLeaks(t)
	key := newKey(t, longKey)
	device := storagetest.NewFaulty(t, largeDisk(t, 4*gib))
	dir := filepath.Join(t.TempDir(), "store")
	for range moments() {
		s, err := storage.Create(t.Context(), device.Path(), storage.CreateOptions{Key: key, MountPoint: dir, Overwrite: storage.OverwriteAnything})
		require.NoError(t, err)
		awaitMoment(t, s)
		device.Set(t, storagetest.Fault{Kind: storagetest.DropWrites})
		require.NoError(t, s.Close())
		device.Set(t)

		s, err = storage.Open(t.Context(), device.Path(), key, storage.OpenOptions{MountPoint: dir, Grow: storage.GrowLater})
		require.NoError(t, err)
		t.Logf("cut off at %d MiB", growthOf(t, s).Bytes/mib)
		requireClean(t, s)
		require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}))
		requireFull(t, s, 4*gib)
		requireClean(t, s)
		require.NoError(t, s.Close())
	}
}

// One process at a time grows a store; a second one says so, or follows.
func TestOneGrower(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 12*gib), storage.CreateOptions{})
	require.Eventually(t, func() bool { return growthOf(t, s).Grower == os.Getpid() }, time.Minute, time.Millisecond)
	require.ErrorIs(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}), storage.ErrBusy)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, storage.Grow(ctx, s.Name(), storage.GrowOptions{Follow: true}), context.Canceled)

	var sizes []uint64
	err := storage.Grow(t.Context(), s.MountPoint(), storage.GrowOptions{Follow: true, Size: 3 * gib, Progress: func(p storage.Progress) {
		require.Equal(t, uint64(3*gib), p.Total)
		sizes = append(sizes, p.Done)
	}})
	require.NoError(t, err)
	require.Equal(t, uint64(3*gib), sizes[len(sizes)-1])
	require.GreaterOrEqual(t, growthOf(t, s).Bytes, uint64(3*gib))
	require.NoError(t, s.Grown(t.Context()))
	require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}), "nothing left to do")
}

// Under a mount that writes inode tables later, a store must not grow.
func TestGrowRefusesLazyTables(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 4*gib), storage.CreateOptions{Grow: storage.GrowLater})
	require.NoError(t, unix.Mount("", s.MountPoint(), "", unix.MS_REMOUNT, "init_itable"))
	err := storage.Grow(t.Context(), s.Name(), storage.GrowOptions{})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, "noinit_itable")

	unmountStore(t, s)
	require.ErrorIs(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}), storage.ErrInvalid)
}

// Where the block that the kernel reads first was not written, growing ends with
// an error that says so, and the store stays usable.
func TestGrowNotPrepared(t *testing.T) {
	kernel(t)
	s := create(t, storagetest.Disk(t, 4*gib), storage.CreateOptions{MountPoint: storage.NoMount})
	file, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	require.NoError(t, err)
	const small = 128 * mib
	_, err = mkfs.Format(t.Context(), file, small, mkfs.Options{GrowTo: 4 * gib}) // and not what growing needs
	require.NoError(t, errors.Join(err, file.Sync(), file.Close()))
	dir := t.TempDir()
	require.NoError(t, unix.Mount(s.Path(), dir, "ext4", 0, "noinit_itable"))
	defer func() { require.NoError(t, unix.Unmount(dir, 0)) }()
	err = storage.Grow(t.Context(), s.Name(), storage.GrowOptions{})
	require.ErrorContains(t, err, "cannot be read")
	var e *storage.Error
	require.True(t, errors.As(err, &e))
	require.NotEmpty(t, e.Hint)
	writeFile(t, filepath.Join(dir, "f"), "still usable")
}

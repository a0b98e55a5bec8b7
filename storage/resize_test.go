package storage_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/loop"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// syncWriter writes files into a directory, each with its own contents, until it is told
// to stop.
type syncWriter struct {
	dir     string
	stop    atomic.Bool
	written atomic.Int64
	failed  error
	done    chan struct{}
}

func startSyncWriter(dir string) *syncWriter {
	w := &syncWriter{dir: dir, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for !w.stop.Load() && w.failed == nil {
			n := w.written.Load()
			if w.failed = writeSynced(syncedFile(w.dir, n), fileOf(n)); w.failed == nil {
				w.written.Add(1)
			}
		}
	}()
	return w
}

// syncedFiles is how many files it has at most: it writes each again and again.
const syncedFiles = 200

func syncedFile(dir string, n int64) string {
	return filepath.Join(dir, fmt.Sprint("w", n%syncedFiles))
}

// fileOf is what file n has, up to 17 KiB.
func fileOf(n int64) []byte {
	var b []byte
	for sum := sha256.Sum256(fmt.Append(nil, n)); len(b) < 32+int(n%17)<<10; sum = sha256.Sum256(sum[:]) {
		b = append(b, sum[:]...)
	}
	return b
}

func writeSynced(name string, contents []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(contents); err != nil {
		return err
	}
	return f.Sync()
}

// end stops it and returns how many files were acknowledged.
func (w *syncWriter) end() int64 {
	w.stop.Store(true)
	<-w.done
	return w.written.Load()
}

// requireWritten checks every file that was acknowledged, but for the one that was
// being written again.
func requireWritten(t *testing.T, dir string, files int64) {
	t.Helper()
	for n := max(0, files-syncedFiles+1); n < files; n++ {
		got, err := os.ReadFile(syncedFile(dir, n))
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(fileOf(n)), sha256.Sum256(got), "file %d", n)
	}
}

// What a volume expansion of Kubernetes comes to: the file gets larger, its loop
// device too, and the store while it is in use.
func TestResizeWhileInUse(t *testing.T) {
	kernel(t)
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) {
			disk, resize := enlargeable(t, grownFrom)
			key := newKey(t, longKey)
			opts := k.create()
			opts.Key, opts.Filesystem = key, fewInodes
			s := create(t, disk, opts)
			require.NoError(t, s.Grown(t.Context()))
			log := storagetest.KernelLog(t)
			w := startSyncWriter(s.MountPoint())
			require.NoError(t, storage.Resize(t.Context(), s.Name(), key, storage.ResizeOptions{}), "nothing to take")
			for _, size := range []int64{grownFrom + 4096, 300*mib + 512, 9 * gib} {
				resize(size)
				require.NoError(t, storage.Resize(t.Context(), s.MountPoint(), key, storage.ResizeOptions{}))
				status, err := s.Status(t.Context())
				require.NoError(t, err)
				require.Empty(t, status.Problems)
				require.True(t, status.Growth.Full())
				require.Greater(t, status.Sectors*512, uint64(size-size/64-20*mib))
			}
			files := w.end()
			require.NoError(t, w.failed)
			require.Positive(t, files)
			requireClean(t, s)
			requireNoErrors(t, log)
			require.NoError(t, s.Close())

			if k != plainKind {
				cryptsetupsOpen(t, disk, func(dir string) { requireWritten(t, dir, files) })
			}
			s = open(t, disk, longKey, k.open())
			require.True(t, growthOf(t, s).Full())
			requireWritten(t, s.MountPoint(), files)
		})
	}
}

// TestResizeChild is the process that other tests start to resize a store.
func TestResizeChild(t *testing.T) {
	name := os.Getenv("RESIZE_CHILD")
	if name == "" {
		t.Skip("runs as a process of another test")
	}
	key, err := storage.NewKey([]byte(longKey))
	require.NoError(t, err)
	require.NoError(t, storage.Resize(t.Context(), name, key, storage.ResizeOptions{}))
}

func startResize(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestResizeChild$")
	child.Env = append(os.Environ(), "RESIZE_CHILD="+name)
	require.NoError(t, child.Start())
	return child
}

// cuts is how often a test cuts a resize off.
func cuts() int {
	if soak() {
		return 50
	}
	return 3
}

// takes is about how long a resize takes here, for moments within it.
func takes(t *testing.T, name string) time.Duration {
	t.Helper()
	began := time.Now()
	require.NoError(t, startResize(t, name).Wait())
	return time.Since(began)
}

// logLayers says how far a resize got.
func logLayers(t *testing.T, name string) {
	t.Helper()
	sizes := ""
	for _, layer := range []string{"_data", "_dif", "_new", ""} {
		f, err := os.Open("/dev/mapper/" + name + layer)
		if err != nil {
			continue // none, or its node alone
		}
		sizes += fmt.Sprintf(" %s%s: %d", name, layer, deviceSize(t, f)/512)
		require.NoError(t, f.Close())
	}
	t.Log("cut with", sizes)
}

// Killed at any moment it leaves a store that can be used, also through what it had
// made; the next one goes on, or the next Open.
func TestResizeKilled(t *testing.T) {
	kernel(t)
	disk, resize := enlargeable(t, grownFrom)
	s := create(t, disk, storage.CreateOptions{Key: newKey(t, longKey)})
	require.NoError(t, s.Grown(t.Context()))
	size := int64(grownFrom)
	log := storagetest.KernelLog(t)
	w := startSyncWriter(s.MountPoint())
	larger := func() {
		size += 100*mib + 512
		resize(size)
	}
	larger()
	whole := takes(t, s.Name())
	for n := range cuts() {
		larger()
		child := startResize(t, s.Name())
		time.Sleep(rand.N(whole))
		require.NoError(t, child.Process.Kill())
		_ = child.Wait()
		logLayers(t, s.Name())
		if n%2 == 1 {
			files := w.end()
			require.NoError(t, w.failed)
			name := s.Name()
			require.NoError(t, s.Close())
			require.NoFileExists(t, "/dev/mapper/"+name+"_new")
			s = open(t, disk, longKey, storage.OpenOptions{})
			require.NoError(t, s.Grown(t.Context()))
			requireWritten(t, s.MountPoint(), files)
			requireClean(t, s)
			w = startSyncWriter(s.MountPoint())
		} else {
			require.NoError(t, startResize(t, s.Name()).Wait())
		}
		status, err := s.Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, status.Problems)
		require.True(t, status.Growth.Full())
		require.NoFileExists(t, "/dev/mapper/"+s.Name()+"_new")
	}
	files := w.end()
	require.NoError(t, w.failed)
	requireWritten(t, s.MountPoint(), files)
	requireClean(t, s)
	requireNoErrors(t, log)
}

// The device takes no more writes from some moment of a resize on, as after a power
// cut. What was acknowledged before is there, the volume opens, and gets its size.
func TestResizePowerCut(t *testing.T) {
	kernel(t)
	var whole time.Duration
	for n := range 1 + cuts() {
		file := storagetest.SparseFile(t, grownFrom)
		disk := storagetest.Attach(t, file, storagetest.DiskOptions{})
		persistent(t, disk, longKey, "kept", storage.CreateOptions{})
		require.NoError(t, os.Truncate(file, 1*gib))
		require.NoError(t, loop.SetCapacity(disk))
		// Its host gives the guest the larger device a little later.
		host := storagetest.NewFaulty(t, disk)
		host.SetSize(t, grownFrom)
		s := open(t, host.Path(), longKey, storage.OpenOptions{})
		host.SetSize(t, 1*gib)
		if n == 0 {
			whole = takes(t, s.Name())
			continue
		}
		w := startSyncWriter(s.MountPoint())
		child := startResize(t, s.Name())
		time.Sleep(rand.N(whole))
		files := w.written.Load()
		host.Set(t, storagetest.Fault{Kind: storagetest.FailWrites})
		_ = child.Wait()
		logLayers(t, s.Name())
		w.end()
		closeBroken(t, s)
		host.Set(t)

		log := storagetest.KernelLog(t)
		s = open(t, host.Path(), longKey, storage.OpenOptions{})
		require.NoError(t, s.Grown(t.Context()))
		require.True(t, growthOf(t, s).Full())
		require.Equal(t, "kept", readFile(t, filepath.Join(s.MountPoint(), "f")))
		requireWritten(t, s.MountPoint(), files)
		requireClean(t, s)
		requireNoErrors(t, log)
		require.NoError(t, s.Close())
	}
}

// closeBroken closes a store whose device fails.
func closeBroken(t *testing.T, s *storage.Store) {
	t.Helper()
	var err error
	closed := func() bool { err = storage.Close(t.Context(), s.Name()); return err == nil }
	require.Eventually(t, closed, time.Minute, 50*time.Millisecond, "%v", err)
}

// What cannot be resized says why, and stays as it is.
func TestResizeRefuses(t *testing.T) {
	kernel(t)
	disk, resize := enlargeable(t, grownFrom)
	key := newKey(t, longKey)
	s := create(t, disk, storage.CreateOptions{Key: key})
	resize(grownFrom + 40*mib)
	try := func(name string, key *storage.Key) error {
		return storage.Resize(t.Context(), name, key, storage.ResizeOptions{})
	}
	require.ErrorIs(t, try(s.Name(), newKey(t, "another key, of no slot of this one")), storage.ErrWrongKey)
	require.ErrorIs(t, try(s.Name(), nil), storage.ErrInvalid)
	require.ErrorIs(t, try("none_of_this_name", key), storage.ErrNotFound)
	resize(grownFrom - 4096)
	err := try(s.Name(), key)
	require.ErrorIs(t, err, storage.ErrUnsuitable)
	require.ErrorContains(t, err, fmt.Sprint(grownFrom))
	require.ErrorContains(t, err, fmt.Sprint(grownFrom-4096))
	resize(grownFrom)

	for _, place := range []storage.TagsPlace{storage.TagsOnDevice, storage.TagsInMemory} {
		other, larger := enlargeable(t, grownFrom)
		e := create(t, other, storage.CreateOptions{Tags: storage.TagOptions{Place: place}})
		larger(2 * grownFrom)
		require.ErrorIs(t, try(e.Name(), key), storage.ErrUnsuitable)
		require.NoError(t, e.Close())
	}
	theirs, larger := enlargeable(t, grownFrom)
	persistent(t, theirs, longKey, "", storage.CreateOptions{})
	tool(t, "cryptsetup", "open", "--key-file", keyFile(t, longKey), theirs, "theirs")
	larger(2 * grownFrom)
	mounted(t, "/dev/mapper/theirs", func(string) { require.ErrorIs(t, try("theirs", key), storage.ErrInvalid) })
	tool(t, "cryptsetup", "close", "theirs")
}

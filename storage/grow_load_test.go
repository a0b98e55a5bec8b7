package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// writer writes files into a directory of its own, removes every fifth of them, and
// remembers what must be there.
type writer struct {
	dir   string
	files map[string]contents
}

// contents are random bytes that follow from a seed.
type contents struct {
	seed uint64
	size int
}

func (c contents) bytes() []byte {
	b := make([]byte, c.size)
	_, _ = rand.NewChaCha8([32]byte{byte(c.seed), byte(c.seed >> 8), byte(c.seed >> 16)}).Read(b)
	return b
}

// run writes until done is closed or the files have limit bytes together.
func (w *writer) run(ctx context.Context, limit int) error {
	for i, total := 0, 0; ctx.Err() == nil && total < limit; i++ {
		dir := filepath.Join(w.dir, fmt.Sprint(i%32))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		c := contents{uint64(i), 1 + i*7919%300_000}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, c.bytes(), 0o644); err != nil {
			return err
		}
		w.files[path] = c
		total += c.size
		if i%5 == 4 {
			if err := os.Remove(path); err != nil {
				return err
			}
			delete(w.files, path)
		}
	}
	return nil
}

// loop writes until ctx ends, and whenever the files have limit bytes together it
// reads them all and begins anew.
func (w *writer) loop(ctx context.Context, limit int) error {
	for {
		if err := w.run(ctx, limit); err != nil || ctx.Err() != nil {
			return err
		}
		if err := w.check(); err != nil {
			return err
		}
		if err := os.RemoveAll(w.dir); err != nil {
			return err
		}
		clear(w.files)
	}
}

// check reads what was written.
func (w *writer) check() error {
	for path, c := range w.files {
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(c.bytes(), got) {
			return fmt.Errorf("%s is not what was written", path)
		}
	}
	return nil
}

func (w *writer) verify(t *testing.T) {
	t.Helper()
	require.NoError(t, w.check())
}

// rawResize grows a filesystem as a program does that knows nothing of us: no
// lock, and sometimes two steps at once.
func rawResize(ctx context.Context, s *storage.Store) (taken int, err error) {
	node, err := os.Open(s.Path())
	if err != nil {
		return 0, err
	}
	defer node.Close()
	root, err := os.Open(s.MountPoint())
	if err != nil {
		return 0, err
	}
	defer root.Close()
	end, err := node.Seek(0, 2)
	if err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		geometry, err := mkfs.ReadGeometry(node)
		if err != nil {
			return taken, err
		}
		next, more := geometry.Growth(uint64(end)).Next(geometry.Size())
		if !more {
			return taken, nil
		}
		if rand.IntN(2) == 0 {
			next, _ = geometry.Growth(uint64(end)).Next(next)
		}
		switch err := mkfs.Resize(root, next); {
		case err == nil:
			taken++
		case !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINVAL): // EINVAL: it is larger by now
			return taken, err
		}
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
	return taken, nil
}

// Several growers and a program that resizes without asking, while files are
// written: no block of them is lost.
func TestTwoGrowersAndAnotherUnderLoad(t *testing.T) {
	kernel(t)
	log := storagetest.KernelLog(t)
	s := create(t, largeDisk(t, 12*gib), storage.CreateOptions{Overwrite: storage.OverwriteAnything})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, growers errgroup.Group
	loads := make([]writer, 4)
	for i := range loads {
		w := &loads[i]
		*w = writer{filepath.Join(s.MountPoint(), fmt.Sprint(i)), map[string]contents{}}
		writers.Go(func() error { return w.run(ctx, 40*mib) })
	}
	var others atomic.Int64
	growers.Go(func() error {
		return storage.Grow(ctx, s.Name(), storage.GrowOptions{Follow: true})
	})
	growers.Go(func() error {
		taken, err := rawResize(ctx, s)
		others.Add(int64(taken))
		return err
	})
	require.NoError(t, growers.Wait())
	require.NoError(t, s.Grown(t.Context()))
	require.Positive(t, others.Load(), "the outside program took no step: nothing is proven")
	stop()
	require.NoError(t, writers.Wait())

	unmountStore(t, s)
	mountStore(t, s)
	for i := range loads {
		require.NotEmpty(t, loads[i].files)
		loads[i].verify(t)
	}
	requireFull(t, s, 12*gib)
	requireNoErrors(t, log)
	requireClean(t, s)
}

// writeOn writes to a new file of the store, through the page cache, until it has
// limit bytes or the store is full.
func writeOn(t *testing.T, s *storage.Store, limit int64) (total int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(s.MountPoint(), "file"))
	require.NoError(t, err)
	defer f.Close()
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for total < limit {
		n, err := f.Write(chunk)
		total += int64(n)
		if errors.Is(err, unix.ENOSPC) {
			return total
		}
		require.NoError(t, err)
	}
	return total
}

// A writer that fills the store from the moment on when Create returns is told
// that it is full only when it is.
func TestWriterNeverSeesALaggingSize(t *testing.T) {
	kernel(t)
	if runtime.NumCPU() > 1 && !soak() {
		t.Skip("fills a store, which takes minutes where the CPUs are emulated: TRUSTED_STORE_SOAK=1")
	}
	size := int64(repeats(1000, 2500)) * mib
	s := create(t, largeDisk(t, size), storage.CreateOptions{Overwrite: storage.OverwriteAnything})
	total := writeOn(t, s, 2*size)
	growth := growthOf(t, s)
	require.True(t, growth.Full(), "no space after %d MiB, at %d of %d MiB", total/mib, growth.Bytes/mib, growth.Target/mib)
	require.Greater(t, total, size/100*95)
}

// Growing goes on at its pace while all that the memory may hold of a writer's
// data waits for several CPUs to encrypt it.
func TestFourCPUsWriterDoesNotHoldGrowthUp(t *testing.T) {
	kernel(t)
	limit, least := int64(300*mib), uint64(600*mib)
	if soak() {
		limit, least = 6*gib, 5*gib
	}
	s := create(t, largeDisk(t, 56*gib), storage.CreateOptions{Overwrite: storage.OverwriteAnything})
	require.Equal(t, limit, writeOn(t, s, limit), "no space at %d MiB", growthOf(t, s).Bytes/mib)
	growth := growthOf(t, s)
	t.Logf("%d CPUs: %d MiB when %d MiB were written", runtime.NumCPU(), growth.Bytes/mib, limit/mib)
	require.Greater(t, growth.Bytes, least, "in the long form it was 3.3 GiB with a queue for writes, on Linux 6.1")
}

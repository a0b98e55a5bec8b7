package storagetest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// recorder is a test that notes its failure instead of failing.
type recorder struct {
	testing.TB
	errors   string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors += fmt.Sprintf(format, args...) + "\n"
}

func (r *recorder) Error(args ...any) { r.errors += fmt.Sprintln(args...) }

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() {
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		last()
	}
}

// Each kind of thing that a store acquires is noticed when it is left behind.
func TestLeaksAreFound(t *testing.T) {
	storagetest.Kernel(t)
	storagetest.HurryLeaks(t)
	checked, things := &recorder{TB: t}, &recorder{TB: t}
	storagetest.CheckLeaks(checked)
	leakAll(t, things)
	checked.end()
	things.end()
	for _, kind := range []string{"mapping leak", "node /dev/mapper/other", "loop device", "mount", "logon key"} {
		require.True(t, strings.Contains(checked.errors, "left behind: "+kind), "leaked %s not found in:\n%s", kind, checked.errors)
	}
	clean := &recorder{TB: t}
	storagetest.CheckLeaks(clean)
	clean.end()
	require.Empty(t, clean.errors)
}

// leakAll acquires one thing of each kind; r gives them back.
func leakAll(t *testing.T, r *recorder) {
	c, err := dm.Open()
	require.NoError(t, err)
	r.Cleanup(func() { require.NoError(t, c.Close()) })
	_, err = c.Create("leak", "")
	require.NoError(t, err)
	r.Cleanup(func() { require.NoError(t, c.Remove(context.Background(), "leak")) })

	node := filepath.Join(dm.Dir, "other")
	require.NoError(t, os.WriteFile(node, nil, 0o600))
	r.Cleanup(func() { require.NoError(t, os.Remove(node)) })

	storagetest.Disk(r, 1<<20)

	dir := t.TempDir()
	require.NoError(t, unix.Mount("none", dir, "tmpfs", 0, ""))
	r.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })

	started, stop, stopped := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- keyring.WithLogonKey("storagetest:leak", []byte("secret"), func() error {
			close(started)
			<-stop
			return nil
		})
	}()
	<-started
	r.Cleanup(func() { close(stop); require.NoError(t, <-stopped) })
}

func TestKernelSkipsOutsideABed(t *testing.T) {
	t.Setenv(storagetest.BedVariable, "")
	skipped := false
	t.Run("inner", func(t *testing.T) {
		t.Cleanup(func() { skipped = t.Skipped() })
		storagetest.Kernel(t)
		t.Error("not skipped")
	})
	require.True(t, skipped)
}

func TestKernelFailsWithoutAFeature(t *testing.T) {
	storagetest.Kernel(t)
	r := &fatalRecorder{recorder{TB: t}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		storagetest.Kernel(r, "nosuchtarget")
	}()
	<-done
	require.Contains(t, r.errors, "nosuchtarget")
	r.end()
}

type fatalRecorder struct{ recorder }

func (r *fatalRecorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

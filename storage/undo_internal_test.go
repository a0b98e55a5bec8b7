package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// errInjected is what would be an invalid argument, had nothing been touched.
var errInjected = fmt.Errorf("injected: %w", unix.ENOENT)

// What the kernel says in the middle of the work is no invalid argument: that
// promises that nothing was touched.
func TestNoErrorOfTheKernelIsAnInvalidArgument(t *testing.T) {
	for number := range unix.Errno(256) {
		require.NotErrorIs(t, failure("create", "/dev/vdb", "mount", os.NewSyscallError("mount", number)), ErrInvalid)
	}
	for _, number := range []unix.Errno{unix.EPERM, unix.EACCES} {
		require.ErrorIs(t, failure("create", "/dev/vdb", "mount", &os.PathError{Op: "open", Path: "x", Err: number}), ErrPermission)
	}
}

// stepNames returns the names of the steps that a call takes.
func stepNames(steps []step) []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return names
}

func failAt(name string) func(string) error {
	return func(step string) error {
		if step == name {
			return errInjected
		}
		return nil
	}
}

// cancelAt ends the context after a step, as Ctrl-C does.
func cancelAt(name string, cancel context.CancelFunc) func(string) error {
	return func(step string) error {
		if step == name {
			cancel()
		}
		return nil
	}
}

// checkNothingLeft looks for all that a store is made of.
func checkNothingLeft(t *testing.T, mountPoint string) {
	t.Helper()
	list, err := List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	nodes, err := filepath.Glob("/dev/mapper/*")
	require.NoError(t, err)
	require.Equal(t, []string{"/dev/mapper/control"}, nodes)
	require.False(t, swapIsActive())
	require.NoDirExists(t, mountPoint, "made by the call that failed")
}

func TestCreateUndoesEveryStep(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	for kind, base := range map[string]CreateOptions{
		"hmac": {}, "none": {Integrity: NoIntegrity}, "memory": {Tags: TagOptions{Place: TagsInMemory}},
		"swap": {Swap: &SwapOptions{}},
	} {
		names := stepNames(newCreation("", base).steps())
		for _, name := range names {
			for _, how := range []string{"failure", "interrupt"} {
				t.Run(fmt.Sprintf("%s,%s after %s", kind, how, name), func(t *testing.T) {
					disk := storagetest.Disk(t, 64<<20)
					dir := filepath.Join(t.TempDir(), "deep", "mount")
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					opts := base
					opts.failAfter = failAt(name)
					if opts.Swap == nil {
						opts.MountPoint = dir
					}
					want := errInjected
					if how == "interrupt" {
						opts.failAfter, want = cancelAt(name, cancel), context.Canceled
					}
					s, err := Create(ctx, disk, opts)
					if how == "interrupt" && name == names[len(names)-1] {
						require.NoError(t, err, "nothing is left to interrupt")
						require.NoError(t, s.Close())
						return
					}
					require.ErrorIs(t, err, want)
					require.NotErrorIs(t, err, ErrInvalid, "something was touched")
					checkNothingLeft(t, dir)
					require.NoDirExists(t, filepath.Dir(dir))

					header := storagetest.ReadBytes(t, disk, 0, 8)
					require.Equal(t, make([]byte, 8), header, "no half-made volume stays")
					s, err = Create(t.Context(), disk, CreateOptions{MountPoint: dir})
					require.NoError(t, err, "the device can be used again")
					require.NoError(t, s.Close())
				})
			}
		}
	}
}

func TestOpenUndoesEveryStep(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	for _, integrity := range []Integrity{HMACSHA256, NoIntegrity} {
		t.Run(integrity.String(), func(t *testing.T) { openUndoesEveryStep(t, integrity) })
	}
}

func openUndoesEveryStep(t *testing.T, integrity Integrity) {
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, 64<<20)
	dir := filepath.Join(t.TempDir(), "mount")
	key, err := NewKey([]byte("a key of no less than thirty-two bytes\xff"))
	require.NoError(t, err)
	defer key.Wipe()
	opts := OpenOptions{MountPoint: dir, Integrity: integrity}
	s, err := Create(t.Context(), disk, CreateOptions{Key: key, MountPoint: dir, Integrity: integrity})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("contents"), 0o600))
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(dir))

	for _, name := range stepNames(newOpening("", key, opts).steps()) {
		t.Run("failure after "+name, func(t *testing.T) {
			opts := opts
			opts.failAfter = failAt(name)
			_, err := Open(t.Context(), disk, key, opts)
			require.ErrorIs(t, err, errInjected)
			checkNothingLeft(t, dir)
		})
		t.Run("interrupt after "+name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts := opts
			opts.failAfter = cancelAt(name, cancel)
			s, err := Open(ctx, disk, key, opts)
			if name == "mount" {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				require.NoError(t, os.Remove(dir))
				return
			}
			require.ErrorIs(t, err, context.Canceled)
			checkNothingLeft(t, dir)
		})
	}
	s, err = Open(t.Context(), disk, key, opts)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dir, "f"))
	require.NoError(t, err)
	require.Equal(t, "contents", string(got))
	require.NoError(t, s.Close())
}

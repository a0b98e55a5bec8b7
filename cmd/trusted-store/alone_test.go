package main

import (
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The program is one file that needs nothing else: no libraries, and of a size
// that fits into every guest image.
func TestStaticBinary(t *testing.T) {
	if storagetest.Bed() != "" || testing.Short() {
		t.Skip("builds the program: on the host, and not with -short")
	}
	out := filepath.Join(t.TempDir(), "trusted-store")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.False(t, dynamic(t, out))
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(8<<20))
	t.Logf("%d bytes", info.Size())
}

// dynamic reports whether a program needs an interpreter or libraries.
func dynamic(t *testing.T, path string) bool {
	t.Helper()
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return true
		}
	}
	return false
}

// In a file tree with this program and nothing else to execute, every verb of a
// store's life works.
func TestWithoutAnyOtherProgram(t *testing.T) {
	kernel(t)
	disk := newDisk(t)
	root := emptyTree(t)
	alone := func(status int, args ...string) string {
		t.Helper()
		c := exec.Command("/trusted-store", args...)
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		c.Dir, c.Env = "/", []string{"PATH="}
		out, _ := c.CombinedOutput()
		require.Equal(t, status, c.ProcessState.ExitCode(), "%v: %s", args, out)
		return string(out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "key"), []byte(key), 0o600))
	alone(exitDone, "create", disk, "--key", "file:/key", "--name", "one")
	require.Contains(t, alone(exitDone, "status"), "one is mounted at /run/kata-containers/image\n")
	require.NoError(t, os.WriteFile(filepath.Join(root, "run/kata-containers/image/f"), []byte("kept"), 0o600))
	alone(exitDone, "close", "/run/kata-containers/image")
	alone(exitDone, "open", disk, "--key", "file:/key", "--name", "one")
	require.FileExists(t, filepath.Join(root, "run/kata-containers/image/f"))
	alone(exitDone, "close", "one")
	alone(exitDone, "inspect", disk)
	alone(exitDone, "create", disk, "--force", "--name", "one")
	alone(exitDone, "close", "one")
}

// emptyTree makes a tree with this program and what the kernel shows.
func emptyTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	mount := func(source, dir, kind string, flags uintptr) {
		dir = filepath.Join(root, dir)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, unix.Mount(source, dir, kind, flags, ""))
		t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	}
	mount("alone", "", "tmpfs", 0)
	mount("/dev", "dev", "", unix.MS_BIND)
	mount("alone", "proc", "proc", 0)
	mount("alone", "sys", "sysfs", 0)
	mount("alone", "run", "tmpfs", 0)
	self, err := os.Executable()
	require.NoError(t, err)
	require.False(t, dynamic(t, self), "build the test with CGO_ENABLED=0: here are no libraries")
	copyProgram(t, self, filepath.Join(root, "trusted-store"))
	return root
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}

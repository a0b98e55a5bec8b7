package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConclude(t *testing.T) {
	leak := []string{"loop device /dev/loop0 on /x"}
	for name, c := range map[string]struct {
		o      options
		r      result
		status int
		shown  string
	}{
		"clean":             {options{leaks: true}, result{Status: 3}, 3, ""},
		"leak":              {options{leaks: true}, result{Leaks: leak}, statusLeaks, leak[0]},
		"leak of a failure": {options{leaks: true}, result{Status: 2, Leaks: leak}, 2, leak[0]},
		"leak only listed":  {options{}, result{Leaks: leak}, 0, leak[0]},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			s := &session{opts: &c.o, start: &start{Args: []string{"/x"}}, stderr: &stderr}
			status, err := s.conclude(&c.r)
			require.NoError(t, err)
			require.Equal(t, c.status, status)
			require.Contains(t, stderr.String(), c.shown)
		})
	}
	_, err := (&session{}).conclude(&result{Failure: "no such directory"})
	require.EqualError(t, err, "no such directory")
}

func TestFailChoosesTheStatus(t *testing.T) {
	var b bytes.Buffer
	require.Equal(t, statusTimeout, fail(&b, fmt.Errorf("x: %w", &timeoutError{time.Second, "of waiting"})))
	require.Contains(t, b.String(), "killed after 1s of waiting")
	require.Equal(t, statusFailed, fail(&b, errors.New("x")))
}

func TestConsoleTailNamesThePanic(t *testing.T) {
	f, err := consoleFile("", t.TempDir())
	require.NoError(t, err)
	defer f.Close()
	for i := range 100 {
		fmt.Fprintf(f, "line %d\n", i)
	}
	fmt.Fprintln(f, "[ 1.0] Kernel panic - not syncing: out of memory")
	tail := consoleTail(f)
	require.Contains(t, tail, "line 99")
	require.NotContains(t, tail, "line 50\n")
	require.Contains(t, tail, "kernel panic: not syncing: out of memory")
}

func TestStaleDirectoriesAreRemoved(t *testing.T) {
	parent := t.TempDir()
	live, lock, err := privateDir(parent)
	require.NoError(t, err)
	defer lock.Close()
	stale := parent + "/trusted-store-guest-1"
	writeFile(t, stale+"/init", nil)
	fresh := parent + "/trusted-store-guest-2"
	require.NoError(t, os.Mkdir(fresh, 0o755))
	old := time.Now().Add(-2 * dirAge)
	require.NoError(t, os.Chtimes(stale, old, old))
	require.NoError(t, os.Chtimes(live, old, old))
	_, second, err := privateDir(parent)
	require.NoError(t, err)
	defer second.Close()
	require.NoDirExists(t, stale)
	require.DirExists(t, live, "it is locked")
	require.DirExists(t, fresh, "it may be locked in a moment")
}

func TestNewDisksHaveNoName(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/kept", []byte("content"))
	files, err := openDisks(dir, []disk{{size: 56 << 30}, {path: dir + "/kept"}})
	require.NoError(t, err)
	defer closeAll(files)
	info, err := files[0].Stat()
	require.NoError(t, err)
	require.Equal(t, int64(56<<30), info.Size())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)

	_, err = openDisks(dir, make([]disk, diskLimit+1))
	require.ErrorContains(t, err, "at most 8")
	_, err = openDisks(dir, []disk{{path: dir + "/none"}})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestEnvironReplaces(t *testing.T) {
	got := environ([]string{"A=1", "TMPDIR=/x", "B=a=b", "ODD"}, map[string]string{"TMPDIR": "/tmp"})
	require.Equal(t, []string{"A=1", "B=a=b", "ODD", "TMPDIR=/tmp"}, got)
}

func TestLinkersVariablesAreHeldBack(t *testing.T) {
	held := renamed([]string{"LD_PRELOAD=/a", "PATH=LD_"}, linkerPrefix, heldPrefix+linkerPrefix)
	require.Equal(t, []string{"GUEST_HELD_LD_PRELOAD=/a", "PATH=LD_"}, held)
	require.Equal(t, []string{"LD_PRELOAD=/a", "PATH=LD_"}, renamed(held, heldPrefix+linkerPrefix, linkerPrefix))
}

func TestHintNamesTheCommands(t *testing.T) {
	err := errNotInstalled("qemu", lack{packages: []string{"qemu-system-x86"}, kernels: []string{"qemu-newest-amd64"}})
	require.ErrorContains(t, err, "missing qemu-system-x86 qemu-newest-amd64")
	require.ErrorContains(t, err, "apt-get install --no-install-recommends qemu-system-x86;")
	require.ErrorContains(t, err, "go tool guest setup qemu-newest-amd64")
}

func TestNewestReadableKernelIsFound(t *testing.T) {
	dir := t.TempDir()
	_, err := findKernel(dir)
	require.ErrorContains(t, err, dir)
	for _, release := range []string{"6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.0-1-cloud-amd64"} {
		writeFile(t, dir+"/boot/vmlinuz-"+release, nil)
	}
	require.NoError(t, os.MkdirAll(dir+"/lib/modules/6.1.0-9-cloud-amd64", 0o755))
	require.NoError(t, os.MkdirAll(dir+"/lib/modules/6.1.0-56-cloud-amd64", 0o755))
	k, err := findKernel(dir)
	require.NoError(t, err)
	require.Equal(t, dir+"/lib/modules/6.1.0-56-cloud-amd64", k.modules)

	// As Debian packs kernels from 6.19 on.
	split := dir + "/usr/lib/modules/7.3.4+deb13-cloud-amd64"
	writeFile(t, split+"/vmlinuz", nil)
	k, err = findKernel(dir)
	require.NoError(t, err)
	require.Equal(t, &kernelFiles{release: "7.3.4+deb13-cloud-amd64", image: split + "/vmlinuz", modules: split}, k)
}

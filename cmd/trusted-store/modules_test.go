package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// A kernel without a feature: the message names it, and nothing is left.
func TestKernelWithoutAFeature(t *testing.T) {
	kernel(t)
	if storagetest.Bed() != "uml" {
		t.Skip("takes modules out of the kernel: in the bed uml only, whose modules are files that this test can put back")
	}
	disk := newDisk(t)
	create := []string{"create", disk, "--name", "one", "--mount", filepath.Join(t.TempDir(), "made")}
	for _, c := range []struct{ module, message string }{
		{"dm_integrity", `format integrity layer: not supported by this kernel: target "integrity" is missing \(CONFIG_DM_INTEGRITY, module dm-integrity\)`},
		{"dm_crypt", `activate encryption: not supported by this kernel: target "crypt" is missing \(CONFIG_DM_CRYPT, module dm-crypt\)`},
		{"authenc", `activate encryption: not supported by this kernel: cipher \S+ is missing \(modules authenc, `},
	} {
		t.Run(c.module, func(t *testing.T) {
			takeOut(t, c.module)
			found := runs(t, exitNotSupported, "doctor").stdout.String()
			require.Regexp(t, `(?m)^fails +(target|cipher) .*missing.*`+c.module[:2], found)
			p := runs(t, exitNotSupported, create...)
			require.Regexp(t, `^trusted-store: create: `+disk+`: `+c.message+`.*\nhint: load the module, or use a kernel that has it\n$`, p.stderr.String())
			require.Empty(t, liveStores(t))
			require.NoDirExists(t, create[len(create)-1])
		})
	}
	runs(t, exitDone, create...)
	runs(t, exitDone, "close", "one")
}

// Without the cipher that only some stores have the others work. It is missed before
// anything is touched.
func TestKernelWithoutAEGIS128(t *testing.T) {
	kernel(t)
	if storagetest.Bed() != "uml" {
		t.Skip("takes a module out of the kernel: as above")
	}
	disk := newDisk(t)
	before, err := os.ReadFile(disk)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "made")
	t.Run("aegis128", func(t *testing.T) {
		takeOut(t, "aegis128")
		found := runs(t, exitDone, "doctor").stdout.String()
		require.Regexp(t, `(?m)^warning +cipher capi:aegis128-random: .*\(CONFIG_CRYPTO_AEGIS128, module aegis128\).*\n +only stores with --cipher aegis128 need it: load the module`, found)
		p := runs(t, exitNotSupported, "create", disk, "--cipher", "aegis128", "--force", "--mount", dir)
		require.Equal(t, "trusted-store: create: "+disk+": check arguments: not supported by this kernel: cipher capi:aegis128-random is missing "+
			"(CONFIG_CRYPTO_AEGIS128, module aegis128): no such file or directory\nhint: load the module, or use a kernel that has it\n", p.stderr.String())
		now, err := os.ReadFile(disk)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, now), "the device was touched")
		require.Empty(t, liveStores(t))
		require.NoDirExists(t, dir)
		runs(t, exitDone, "create", disk, "--name", "one", "--mount", dir)
		runs(t, exitDone, "close", "one")
	})
	runs(t, exitDone, "create", disk, "--cipher", "aegis128", "--name", "one", "--mount", dir)
	runs(t, exitDone, "close", "one")
}

// Loop devices hold what the device must not: without them there is no store.
func TestKernelWithoutLoopDevices(t *testing.T) {
	kernel(t)
	disks := filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS"))
	if storagetest.Bed() != "uml" || len(disks) == 0 {
		t.Skip("as above, with a disk that is no loop device: go tool guest -disk 1G")
	}
	takeOut(t, "loop")
	require.Contains(t, runs(t, exitNotSupported, "doctor").stdout.String(), "fails    loop devices: kernel has no loop devices")
	p := runs(t, exitNotSupported, "create", disks[0], "--force", "--name", "one", "--mount", "none")
	require.Equal(t, "trusted-store: create: "+disks[0]+": format integrity layer: kernel has no loop devices "+
		"(CONFIG_BLK_DEV_LOOP, module loop)\nhint: load the module, or use a kernel that has it\n", p.stderr.String())
	require.Empty(t, liveStores(t))
}

// takeOut removes a module until the test ends.
func takeOut(t *testing.T, name string) {
	t.Helper()
	file := moduleFile(t, name)
	require.Eventually(t, func() bool { // its last user may just have gone
		return unix.DeleteModule(name, unix.O_NONBLOCK) == nil
	}, time.Minute, 20*time.Millisecond)
	t.Cleanup(func() {
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, unix.FinitModule(int(f.Fd()), "", 0))
	})
}

// moduleFile finds a module of the running kernel, in the directory that the bed
// names.
func moduleFile(t *testing.T, name string) string {
	t.Helper()
	tree, found := os.Getenv("TRUSTED_STORE_MODULES"), ""
	require.NotEmpty(t, tree)
	require.NoError(t, filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if strings.ReplaceAll(filepath.Base(path), "-", "_") == name+".ko" {
			found = path
			return fs.SkipAll
		}
		return err
	}))
	require.NotEmpty(t, found, "no file of module %s in %s", name, tree)
	return found
}

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sampleTree is a tree of a host where bin is a link to usr/bin.
func sampleTree(t *testing.T) (*tree, string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir+"/usr/bin/tool", []byte("#!"+dir+"/bin/sh -e\n"))
	writeFile(t, dir+"/usr/bin/real-shell", []byte("no ELF"))
	require.NoError(t, os.Chmod(dir+"/usr/bin/tool", 0o755))
	require.NoError(t, os.Symlink("real-shell", dir+"/usr/bin/sh"))
	require.NoError(t, os.Symlink("usr/bin", dir+"/bin"))
	tr := newTree()
	require.NoError(t, tr.addProgram(dir+"/bin/tool"))
	return tr, dir
}

func TestTreeFollowsLinksAndInterpreters(t *testing.T) {
	tr, dir := sampleTree(t)
	require.Equal(t, "usr/bin", tr.entries[dir+"/bin"].target)
	require.Equal(t, dir+"/usr/bin/tool", tr.entries[dir+"/usr/bin/tool"].source)
	require.Equal(t, "real-shell", tr.entries[dir+"/usr/bin/sh"].target)
	require.Contains(t, tr.entries, dir+"/usr/bin/real-shell")
	require.NotContains(t, tr.entries, dir+"/bin/tool", "a file below a link would hide the link")
	require.True(t, tr.entries[dir].mode.IsDir())
}

func TestTreeResolvesSharedLibraries(t *testing.T) {
	f, err := elf.Open("/bin/sh")
	require.NoError(t, err)
	defer f.Close()
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil || len(needed) == 0 {
		t.Skip("this host's /bin/sh is static")
	}
	tr := newTree()
	require.NoError(t, tr.addProgram("/bin/sh"))
	for _, lib := range needed {
		found := false
		for p := range tr.entries {
			found = found || path.Base(p) == lib
		}
		require.True(t, found, "%s is not in the tree", lib)
	}
	_, err = findLibrary("libnothing.so.1", []string{"/lib"})
	require.ErrorContains(t, err, "libnothing.so.1")
}

func TestFingerprintChangesWithAFile(t *testing.T) {
	tr, dir := sampleTree(t)
	before := tr.fingerprint()
	require.Equal(t, before, tr.fingerprint())
	writeFile(t, dir+"/usr/bin/real-shell", []byte("another"))
	again := newTree()
	require.NoError(t, again.addProgram(dir+"/bin/tool"))
	require.NotEqual(t, before, again.fingerprint())
}

func TestTreeLeavesOutWhatAnotherHas(t *testing.T) {
	base, dir := sampleTree(t)
	tr, _ := sampleTree(t)
	require.NoError(t, tr.addProgram(dir+"/bin/tool"))
	tr.without(base)
	require.NotContains(t, tr.entries, dir+"/usr/bin/tool")
	require.Contains(t, tr.entries, dir)
}

func TestAddAllSkips(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/.git/config", nil)
	writeFile(t, dir+"/testdata/a", nil)
	require.NoError(t, os.Symlink("nowhere", dir+"/dangling"))
	tr := newTree()
	require.NoError(t, tr.addAll(dir, skipCopy))
	require.Contains(t, tr.entries, dir+"/testdata/a")
	require.NotContains(t, tr.entries, dir+"/.git")
}

// unpackCpio reads an archive back: name to mode and contents.
func unpackCpio(t *testing.T, b []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	field := func(i int) int64 {
		var n int64
		for _, c := range string(b[6+8*i : 14+8*i]) {
			n = n<<4 | int64(strings.IndexRune("0123456789ABCDEF", c))
		}
		return n
	}
	for pad := func(n int64) int64 { return (n + 3) &^ 3 }; ; {
		require.Equal(t, "070701", string(b[:6]))
		size, nameSize := field(6), field(11)
		name := string(b[110 : 110+nameSize-1])
		if name == "TRAILER!!!" {
			return files
		}
		data := pad(110 + nameSize)
		files[name] = fs.FileMode(field(1)&0o777).String() + " " + string(b[data:data+size])
		b = b[data+pad(size):]
	}
}

func TestPackedTreeReadsBack(t *testing.T) {
	tr := newTree()
	tr.addText("/a/run", 0o755, []byte("text"))
	tr.entries["/a/link"] = entry{mode: fs.ModeSymlink, target: "run"}
	var b bytes.Buffer
	require.NoError(t, tr.pack(&b, "host"))
	require.Equal(t, map[string]string{
		"host": "-rwxr-xr-x ", "host/a": "-rwxr-xr-x ", "host/a/run": "-rwxr-xr-x text", "host/a/link": "-rwxrwxrwx run",
	}, unpackCpio(t, b.Bytes()))
	require.Zero(t, b.Len()%4, "another archive may follow")
}

func TestPackNoticesAFileThatShrank(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/f", []byte("12345678"))
	tr := newTree()
	require.NoError(t, tr.add(dir+"/f"))
	require.NoError(t, os.Truncate(dir+"/f", 3))
	require.ErrorIs(t, tr.pack(io.Discard, ""), io.EOF)
	require.ErrorIs(t, tr.writeRomfs(io.Discard), io.EOF)
}

// readRomfs walks an image as the kernel does: name to contents.
func readRomfs(t *testing.T, b []byte) map[string]string {
	t.Helper()
	word := func(at uint32) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	files := map[string]string{}
	var walk func(at uint32, dir string)
	walk = func(at uint32, dir string) {
		for at != 0 {
			end := bytes.IndexByte(b[at+16:], 0)
			name := filepath.Join(dir, string(b[at+16:at+16+uint32(end)]))
			data := at + 16 + uint32(romAlign(int64(end+1)))
			switch word(at) & 7 {
			case romDir:
				walk(word(at+4), name)
			case romFile, romSymlink:
				files[name] = string(b[data : data+word(at+8)])
			}
			at = word(at) &^ 15
		}
	}
	require.Equal(t, "-rom1fs-", string(b[:8]))
	require.EqualValues(t, len(b), word(8))
	require.Zero(t, sumWords(b[:512]))
	walk(word(32+4), "/")
	return files
}

func TestRomfsReadsBack(t *testing.T) {
	tr := newTree()
	tr.addText("/bin/tool", 0o755, bytes.Repeat([]byte("x"), 5000))
	tr.addText("/etc/empty", 0o644, nil)
	tr.addText("/z", 0o644, []byte("last"))
	tr.entries["/bin/link"] = entry{mode: fs.ModeSymlink, target: "tool"}
	var b bytes.Buffer
	require.NoError(t, tr.writeRomfs(&b))
	require.Zero(t, b.Len()%romBlock)
	require.Equal(t, map[string]string{
		"/bin/tool": strings.Repeat("x", 5000), "/bin/link": "tool", "/etc/empty": "", "/z": "last",
	}, readRomfs(t, b.Bytes()))
}

package guestpull_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tree is what a directory tree looks like: names, types, modes, owners, times,
// extended attributes, device numbers, contents, and which names are one file.
type tree map[string]*treeNode

type treeNode struct {
	line string // all of it but the name
}

func rootNode() *treeNode {
	return &treeNode{line: "d 755 0:0"} // its time is that of the pull
}

// apply does to the tree what a layer's entry does.
func (tr tree) apply(h tar.Header, sum string, here map[string]bool) {
	name := filepath.Clean(h.Name)
	dir, base := filepath.Split(name)
	switch {
	case base == ".wh..wh..opq":
		for other := range tr {
			if strings.HasPrefix(other, dir) && !here[other] {
				delete(tr, other)
			}
		}
		return
	case strings.HasPrefix(base, ".wh."):
		tr.remove(dir + strings.TrimPrefix(base, ".wh."))
		return
	case h.Typeflag == tar.TypeLink:
		tr.remove(name)
		tr[name] = tr[filepath.Clean(h.Linkname)]
	default:
		if h.Typeflag != tar.TypeDir {
			tr.remove(name)
		}
		tr[name] = &treeNode{lineOfHeader(h, sum)}
	}
	here[name] = true
}

func (tr tree) remove(name string) {
	if n := tr[name]; n == nil || !strings.HasPrefix(n.line, "d") {
		delete(tr, name)
		return
	}
	for other := range tr {
		if other == name || strings.HasPrefix(other, name+"/") {
			delete(tr, other)
		}
	}
}

func lineOfHeader(h tar.Header, sum string) string {
	attrs := map[string]string{}
	for k, v := range h.PAXRecords {
		attrs[strings.TrimPrefix(k, "SCHILY.xattr.")] = v
	}
	kinds := map[byte]string{tar.TypeReg: "-", tar.TypeDir: "d", tar.TypeSymlink: "l", tar.TypeFifo: "p", tar.TypeChar: "c", tar.TypeBlock: "b"}
	if h.Typeflag != tar.TypeReg {
		sum = ""
	}
	return line(kinds[h.Typeflag], uint32(h.Mode), uint32(h.Uid), uint32(h.Gid), h.ModTime.UnixNano(),
		fmt.Sprintf("%d:%d", h.Devmajor, h.Devminor), h.Linkname, attrs, sum)
}

func line(kind string, mode, uid, gid uint32, mtime int64, device, link string, attrs map[string]string, sum string) string {
	return fmt.Sprintf("%s %o %d:%d %d %s %q %q %s", kind, mode&0o7777, uid, gid, mtime, device, link, attrs, sum)
}

// lines is one line for each name, and lists which names are one file.
func (tr tree) lines() []string {
	first := map[*treeNode]string{}
	var all []string
	for _, name := range slices.Sorted(mapsKeys(tr)) {
		n := tr[name]
		if _, ok := first[n]; !ok {
			first[n] = name
		}
		all = append(all, fmt.Sprintf("%q is %q: %s", name, first[n], n.line))
	}
	return all
}

func mapsKeys(tr tree) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range tr {
			if !yield(name) {
				return
			}
		}
	}
}

// readTree reads what is really there.
func readTree(t testing.TB, root string) tree {
	t.Helper()
	tr, inodes := tree{}, map[uint64]*treeNode{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if name == "." {
			tr[name] = &treeNode{fmt.Sprintf("d %o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)}
			return nil
		}
		if n, ok := inodes[st.Ino]; ok && !d.IsDir() && st.Nlink > 1 {
			tr[name] = n
			return nil
		}
		tr[name] = &treeNode{lineOfFile(t, path, st)}
		inodes[st.Ino] = tr[name]
		return nil
	}))
	return tr
}

func lineOfFile(t testing.TB, path string, st *syscall.Stat_t) string {
	kinds := map[uint32]string{unix.S_IFREG: "-", unix.S_IFDIR: "d", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFCHR: "c", unix.S_IFBLK: "b"}
	kind, link, sum, device := kinds[st.Mode&unix.S_IFMT], "", "", "0:0"
	switch kind {
	case "-":
		sum = sumOf(t, path)
	case "l":
		var err error
		link, err = os.Readlink(path)
		require.NoError(t, err)
	case "c", "b":
		device = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	return line(kind, st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), device, link, attributes(t, path), sum)
}

func sumOf(t testing.TB, path string) string {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	require.NoError(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

func attributes(t testing.TB, path string) map[string]string {
	attrs, list := map[string]string{}, make([]byte, 4096)
	n, err := unix.Llistxattr(path, list)
	require.NoError(t, err)
	for _, name := range strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		value := make([]byte, 4096)
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		require.NoError(t, err)
		attrs[name] = string(value[:n])
	}
	return attrs
}

// requireTree compares trees, and shows the first differences only.
func requireTree(t testing.TB, want, got tree) {
	t.Helper()
	a, b := want.lines(), got.lines()
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			require.Equal(t, a[min(i, len(a)):min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))], "line %d of %d", i, len(a))
		}
	}
}

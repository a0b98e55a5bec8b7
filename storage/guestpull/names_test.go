package guestpull_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// pullLayers pulls an image of such layers, and mounts it.
func pullLayers(t *testing.T, layers ...[]randomEntry) *guestpull.Image {
	t.Helper()
	return pullLayersTo(t, newStore(t, 64*mib), layers...)
}

func pullLayersTo(t *testing.T, store string, layers ...[]randomEntry) *guestpull.Image {
	t.Helper()
	m := &randomImage{layers: layers}
	images := guestpull.New(store, guestpull.Options{})
	image, err := images.Pull(t.Context(), pushArchives(t, newRegistry(t, t.TempDir()), m.archives(t)...), guestpull.PullOptions{Bundle: newBundle(t, images)})
	require.NoError(t, err)
	return image
}

func dirEntry(name string) randomEntry {
	return randomEntry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o750, ModTime: when}}
}

func fileEntry(name, body string) randomEntry {
	return randomEntry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640, ModTime: when, Size: int64(len(body))}, body: body}
}

func linkEntry(kind byte, name, target string) randomEntry {
	return randomEntry{Header: tar.Header{Name: name, Linkname: target, Typeflag: kind, Mode: 0o640, ModTime: when}}
}

func removal(name string) randomEntry {
	return fileEntry(filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name)), "")
}

// However the makers of archives write a name, it is the same one.
func TestNamesAsPublished(t *testing.T) {
	kernel(t)
	var want []string
	for _, prefix := range []string{"", "./", "/", "//", "/./", "././", "usr/../", "/../", "/usr/.././"} {
		t.Run(prefix, func(t *testing.T) {
			image := pullLayers(t,
				[]randomEntry{dirEntry(prefix + "usr/"), fileEntry(prefix+"usr/one", "1"), fileEntry(prefix+"usr/gone", "2"), fileEntry(prefix+"etc/passed/through", "3")},
				[]randomEntry{removal(prefix + "usr/gone")},
				[]randomEntry{fileEntry(prefix+"usr/three", "3"), linkEntry(tar.TypeLink, prefix+"usr/hard", prefix+"usr/three"),
					linkEntry(tar.TypeLink, prefix+"below", prefix+"usr/one"), linkEntry(tar.TypeSymlink, prefix+"usr/soft", "/usr/one")})
			got := names(readTree(t, image.RootFS))
			if want == nil {
				want = got
				require.Equal(t, []string{".", "below", "etc", "etc/passed", "etc/passed/through", "usr", "usr/hard", "usr/one = below", "usr/soft", "usr/three = usr/hard"}, got)
			}
			require.Equal(t, want, got)
		})
	}
}

// names are those of a tree, and which are one file.
func names(tr tree) (all []string) {
	for _, l := range tr.lines() {
		var name, first string
		rest, err := strconv.QuotedPrefix(l)
		if err == nil {
			name, _ = strconv.Unquote(rest)
			first, _ = strconv.QuotedPrefix(strings.TrimPrefix(l[len(rest):], " is "))
			first, _ = strconv.Unquote(first)
		}
		if first != name {
			name += " = " + first
		}
		all = append(all, name)
	}
	return all
}

// What an archive says of its root directory is what the layer's looks like, and a
// layer above that says nothing of it does not change that.
func TestRootEntry(t *testing.T) {
	kernel(t)
	for _, name := range []string{"/", "./", ".", "", "a/.."} {
		t.Run(name, func(t *testing.T) {
			root := dirEntry(name)
			root.Mode, root.Uid, root.Gid = 0o2711, 3, 4
			root.PAXRecords = map[string]string{"SCHILY.xattr.user.root": "yes"}
			image := pullLayers(t, []randomEntry{fileEntry("before", ""), root, fileEntry("after", "")}, []randomEntry{fileEntry("above", "")})
			info, err := os.Stat(image.RootFS)
			require.NoError(t, err)
			require.Equal(t, os.ModeDir|os.ModeSetgid|0o711, info.Mode())
			st := info.Sys().(*syscall.Stat_t)
			require.Equal(t, []uint32{3, 4}, []uint32{st.Uid, st.Gid})
			require.Equal(t, when.UnixNano(), info.ModTime().UnixNano())
			require.Equal(t, map[string]string{"user.root": "yes"}, attributes(t, image.RootFS))
			require.Equal(t, []string{".", "above", "after", "before"}, names(readTree(t, image.RootFS)))
		})
	}
}

// The times of directories are those of their entries, in whatever order what is in
// them comes, goes and is replaced.
func TestTimesOfDirectories(t *testing.T) {
	kernel(t)
	image := pullLayers(t,
		[]randomEntry{dirEntry("a/"), fileEntry("b/early", ""), dirEntry("b/"), fileEntry("a/one", "1"), fileEntry("b/late", ""), fileEntry("a/one", "2"), dirEntry("a/sub/"), fileEntry("a/sub/x", "")},
		[]randomEntry{dirEntry("b/"), fileEntry("b/x", ""), removal("b/nothing"), removal("b/early"), fileEntry("a/two", "")})
	for _, dir := range []string{"a", "b", "a/sub"} {
		info, err := os.Stat(filepath.Join(image.RootFS, dir))
		require.NoError(t, err)
		require.Equal(t, when.UnixNano(), info.ModTime().UnixNano(), dir)
	}
}

// The longest names that the kernel has are taken, longer ones are refused.
func TestLongNames(t *testing.T) {
	kernel(t)
	deep := strings.Repeat("d/", 2047) + "f" // 4095 bytes
	full := strings.Repeat("n", 255)
	image := pullLayersTo(t, newTmpfs(t, ""), []randomEntry{fileEntry(deep, "deep"), fileEntry(full, ""), fileEntry("gone", "")},
		[]randomEntry{fileEntry(deep, "deeper"), removal(full), removal("gone")})
	require.Equal(t, "deeper", string(readDeep(t, image.RootFS, deep)))
	require.NoFileExists(t, filepath.Join(image.RootFS, full))
}

// readDeep reads a file whose whole path is too long for one call.
func readDeep(t *testing.T, root, name string) []byte {
	t.Helper()
	dir, err := os.OpenRoot(root)
	require.NoError(t, err)
	defer func() { require.NoError(t, dir.Close()) }()
	for i := strings.IndexByte(name[100:], '/'); i >= 0 && len(name) > 200; i = strings.IndexByte(name[100:], '/') {
		next, err := dir.OpenRoot(name[:100+i])
		require.NoError(t, err)
		require.NoError(t, dir.Close())
		dir, name = next, name[101+i:]
	}
	b, err := dir.ReadFile(name)
	require.NoError(t, err)
	return b
}

// Names that no layer needs are refused, by name; those that containerd passes over
// are passed over.
func TestNamesThatNoLayerNeeds(t *testing.T) {
	kernel(t)
	device := func(kind byte, major, minor int64) randomEntry {
		return randomEntry{Header: tar.Header{Name: "dev", Typeflag: kind, Devmajor: major, Devminor: minor, ModTime: when}}
	}
	owner := fileEntry("owned", "")
	owner.Uid = 1 << 32
	reg, store := newRegistry(t, t.TempDir()), newTmpfs(t, "size=24m")
	for says, e := range map[string]randomEntry{
		`"../a" is outside`:                            fileEntry("../a", ""),
		`"../b" is outside`:                            fileEntry("x/../../b", ""),
		`".." is outside`:                              dirEntry(".."),
		`target "../c" is outside`:                     linkEntry(tar.TypeLink, "l", "a/../../c"),
		`hard link to ".", a directory`:                linkEntry(tar.TypeLink, "l", ""),
		`".wh." removes nothing`:                       fileEntry("a/.wh.", ""),
		`".wh.." removes nothing`:                      fileEntry("a/.wh..", ""),
		`".wh..." removes nothing`:                     fileEntry(".wh...", ""),
		`has a name of 4096 bytes, 4095 are the most`:  fileEntry(strings.Repeat("d/", 2047)+"ff", ""),
		`has 256 bytes, 255 are the most for one name`: fileEntry("a/"+strings.Repeat("n", 256), ""),
		`xxx"… has 256 bytes`:                          removal(strings.Repeat("x", 256)),
		`device 0:0, which no image can have`:          device(tar.TypeChar, 0, 0),
		`device 4096:0, which no image can have`:       device(tar.TypeChar, 4096, 0),
		`device 1:1048576, which no image can have`:    device(tar.TypeBlock, 1, 1<<20),
		`owner 4294967296:0, which the kernel`:         owner,
		`"l": `:                                        linkEntry(tar.TypeSymlink, "l", strings.Repeat("t", 4096)),
		`"file/x": `:                                   fileEntry("file/x", ""),
		`hard link to "dir", a directory`:              linkEntry(tar.TypeLink, "l", "dir"),
		`hard link to "itself", which is not there`:    linkEntry(tar.TypeLink, "itself", "itself"),
		`hard link to "removed", which is not there`:   linkEntry(tar.TypeLink, "l", "removed"),
		`hard link to "rem/x", which is not there`:     linkEntry(tar.TypeLink, "l", "rem/x"),
	} {
		t.Run(says, func(t *testing.T) {
			below := archiveOf(t, []randomEntry{fileEntry("removed", ""), fileEntry("rem/x", "")})
			a := archiveOf(t, []randomEntry{fileEntry("file", ""), dirEntry("dir"), removal("removed"), removal("rem"), e})
			_, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), pushArchives(t, reg, below, a), guestpull.PullOptions{})
			require.ErrorIs(t, err, guestpull.ErrRejected)
			require.ErrorContains(t, err, says)
			nothingLeft(t, store)
		})
	}
}

func TestNamesThatArePassedOver(t *testing.T) {
	kernel(t)
	global := randomEntry{Header: tar.Header{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "a commit"}}}
	for name, e := range map[string]randomEntry{
		"no name": fileEntry("", ""), "dot": fileEntry(".", ""), "slash": linkEntry(tar.TypeSymlink, "/", "x"),
		"plnk": fileEntry(".wh..wh..plnk", ""), "aufs": fileEntry("d/.wh..wh.aufs", ""), "orph": dirEntry(".wh..wh..orph"),
		"global header": global,
	} {
		t.Run(name, func(t *testing.T) {
			image := pullLayers(t, []randomEntry{dirEntry("d/")}, []randomEntry{dirEntry("d/"), e, fileEntry("x", "")})
			require.Equal(t, []string{".", "d", "x"}, names(readTree(t, image.RootFS)))
		})
	}
}

package mkfs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

// ownersOf asks for the owners of blocks of an image, of which some cannot be read.
func ownersOf(t *testing.T, image string, bad []uint64, blocks ...uint64) map[uint64]mkfs.Owner {
	t.Helper()
	f, err := os.Open(image)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	broken := failing{f, map[int64]bool{}}
	for _, b := range bad {
		broken.bad[int64(b)] = true
	}
	slices.Sort(blocks)
	owners, err := mkfs.ReadOwners(t.Context(), broken, uint64(info.Size()), blocks)
	require.NoError(t, err)
	return owners
}

// inodeOf asks debugfs for the number of an inode.
func inodeOf(t *testing.T, image, name string) uint64 {
	t.Helper()
	out := debugfs(t, image, "stat "+name)
	_, after, found := strings.Cut(out, "Inode: ")
	require.True(t, found, "%s", out)
	n, err := strconv.ParseUint(strings.Fields(after)[0], 10, 64)
	require.NoError(t, err)
	return n
}

// mke2fs makes a filesystem with what is in a directory.
func mke2fs(t *testing.T, from string, args ...string) string {
	t.Helper()
	image := newImage(t, 256*mib).Name()
	args = append([]string{"-q", "-F", "-t", "ext4", "-b", "4096", "-d", from}, append(args, image)...)
	out, err := exec.Command(tool(t, "mke2fs"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return image
}

// tree makes the files that the tests name: nested, with long and odd names, in a directory of many blocks, with two names.
func tree(t *testing.T, many int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"top", "a/b/c/deep", "a/second", "odd/a\nb\x1b[31m", "odd/" + strings.Repeat("l", 255), "a/b/removed", "a/b/last"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(name, 50)), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "many"), 0o755))
	for i := range many {
		require.NoError(t, os.WriteFile(manyName(dir, i), []byte("x"), 0o600))
	}
	require.NoError(t, os.Link(filepath.Join(dir, "a/second"), filepath.Join(dir, "odd/hard")))
	require.NoError(t, os.Symlink(strings.Repeat("far/", 50), filepath.Join(dir, "a/link")))
	return dir
}

func manyName(dir string, i int) string {
	return filepath.Join(dir, "many", fmt.Sprintf("%d-%s", i, strings.Repeat("n", 100)))
}

// Blocks are named as e2fsprogs knows them, in directories as lists and, after e2fsck -D, as trees, with and without
// checksums.
func TestOwnersHaveNames(t *testing.T) {
	const many = 1500
	from := tree(t, many)
	for _, args := range [][]string{{"-O", "^metadata_csum"}, {"-O", "metadata_csum"}, {"-I", "128", "-O", "^has_journal,^64bit"}} {
		image := mke2fs(t, from, args...)
		for _, indexed := range []bool{false, true} {
			if indexed {
				c := exec.Command(tool(t, "e2fsck"), "-f", "-y", "-D", image)
				out, _ := c.CombinedOutput() // it says 1 when it changed something
				require.LessOrEqual(t, c.ProcessState.ExitCode(), 1, "%s", out)
			}
			require.Equal(t, indexed, strings.Contains(debugfs(t, image, "htree_dump /many"), "Root node dump"))
			requireNamed(t, image, many)
		}
	}
}

func requireNamed(t *testing.T, image string, many int) {
	t.Helper()
	named := func(content mkfs.Content, name string, paths ...string) {
		t.Helper()
		block := blocksOf(t, image, name)[0]
		want := mkfs.Owner{Content: content, Inode: inodeOf(t, image, name), Paths: paths}
		require.Equal(t, map[uint64]mkfs.Owner{block: want}, ownersOf(t, image, nil, block), name)
	}
	named(mkfs.ContentFile, "/top", "/top")
	named(mkfs.ContentFile, "/a/b/c/deep", "/a/b/c/deep")
	named(mkfs.ContentFile, "/a/second", "/a/second", "/odd/hard")
	long := "/odd/" + strings.Repeat("l", 255)
	named(mkfs.ContentFile, long, long)
	named(mkfs.ContentSymlink, "/a/link", "/a/link")
	named(mkfs.ContentDirectory, "/a/b", "/a/b")
	named(mkfs.ContentDirectory, "/", "/")
	for _, i := range []int{0, many / 2, many - 1} {
		name := manyName("/", i)
		named(mkfs.ContentFile, name, name)
	}
}

// What was removed and what was moved is not told by its old name.
func TestOwnersOfWhatIsGone(t *testing.T) {
	image := mke2fs(t, tree(t, 0))
	removed, last := blocksOf(t, image, "/a/b/removed")[0], blocksOf(t, image, "/a/b/last")[0]
	debugfs(t, image, "rm /a/b/removed", "ln /a/b/last /odd/moved", "unlink /a/b/last")
	owners := ownersOf(t, image, nil, removed, last)
	require.NotContains(t, owners, removed)
	require.Equal(t, []string{"/odd/moved"}, owners[last].Paths)
}

// The filesystem's own blocks are said to be that, and an inode table names the files that it holds.
func TestOwnersOfMetadata(t *testing.T) {
	image := mke2fs(t, tree(t, 0))
	fields := groupOf(t, image)
	table := fields["inode table"]
	want := map[uint64]mkfs.Owner{
		0: {Content: mkfs.ContentSuperblock}, 32768: {Content: mkfs.ContentSuperblock},
		1: {Content: mkfs.ContentDescriptors}, 32769: {Content: mkfs.ContentDescriptors},
		fields["block bitmap"]:           {Content: mkfs.ContentBlockBitmap},
		fields["inode bitmap"]:           {Content: mkfs.ContentInodeBitmap},
		blocksOf(t, image, "<8>")[0] + 1: {Content: mkfs.ContentJournal, Inode: 8},
	}
	asked := []uint64{table}
	for block := range want {
		asked = append(asked, block)
	}
	owners := ownersOf(t, image, nil, asked...)
	inTable := owners[table]
	delete(owners, table)
	require.Equal(t, want, owners)
	require.Equal(t, mkfs.ContentInodeTable, inTable.Content)
	require.Subset(t, inTable.Paths, []string{"/", "/lost+found"})
	for _, path := range inTable.Paths {
		require.LessOrEqual(t, inodeOf(t, image, strconv.Quote(path)), uint64(16), path)
	}
}

// groupOf reads the first group's descriptor.
func groupOf(t *testing.T, image string) map[string]uint64 {
	t.Helper()
	f, err := os.Open(image)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 12)
	readAt(t, f, b, mkfs.BlockSize)
	n := func(at int) uint64 {
		return uint64(b[at]) | uint64(b[at+1])<<8 | uint64(b[at+2])<<16 | uint64(b[at+3])<<24
	}
	return map[string]uint64{"block bitmap": n(0), "inode bitmap": n(4), "inode table": n(8)}
}

// What cannot be read costs the names that only it knows, and no more: a directory has its own name still.
func TestOwnersBehindDamage(t *testing.T) {
	image := mke2fs(t, tree(t, 0))
	deep, second, b := blocksOf(t, image, "/a/b/c/deep")[0], blocksOf(t, image, "/a/second")[0], blocksOf(t, image, "/a/b")[0]
	owners := ownersOf(t, image, []uint64{b}, deep, second, b)
	require.Equal(t, mkfs.Owner{Content: mkfs.ContentFile, Inode: inodeOf(t, image, "/a/b/c/deep")}, owners[deep])
	require.Equal(t, []string{"/a/second", "/odd/hard"}, owners[second].Paths)
	require.Equal(t, mkfs.Owner{Content: mkfs.ContentDirectory, Inode: inodeOf(t, image, "/a/b"), Paths: []string{"/a/b"}}, owners[b])
}

// Directories that contain themselves have no end, and many names of one file no list as long as they are.
func TestOwnersOfLoops(t *testing.T) {
	image := mke2fs(t, tree(t, 0))
	commands := []string{"ln /a /a/b/c/again", "unlink /a"} // now nothing leads there from the root
	for i := range 100 {
		commands = append(commands, fmt.Sprintf("ln /top /odd/top%02d", i))
	}
	deep, top := blocksOf(t, image, "/a/b/c/deep")[0], blocksOf(t, image, "/top")[0]
	inode := inodeOf(t, image, "/a/b/c/deep")
	debugfs(t, image, commands...)
	owners := ownersOf(t, image, nil, deep, top)
	require.Equal(t, mkfs.Owner{Content: mkfs.ContentFile, Inode: inode}, owners[deep])
	require.Len(t, owners[top].Paths, 16)
	require.Equal(t, uint64(100+1-16), owners[top].More)
}

func TestOwnersAgree(t *testing.T) {
	one := mkfs.Owner{Content: mkfs.ContentFile, Inode: 12, Paths: []string{"/a", "/b"}, More: 3}
	require.Equal(t, one, one.Agreed(one))
	require.Equal(t, mkfs.Owner{Content: mkfs.ContentFile, Inode: 12, Paths: []string{"/b"}, More: 1},
		one.Agreed(mkfs.Owner{Content: mkfs.ContentFile, Inode: 12, Paths: []string{"/b", "/c"}, More: 1}))
	require.Zero(t, one.Agreed(mkfs.Owner{Content: mkfs.ContentFile, Inode: 13, Paths: []string{"/a"}}))
}

package mkfs_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

// readUsage reads the usage of an image.
func readUsage(t *testing.T, image string) *mkfs.Usage {
	t.Helper()
	f, err := os.Open(image)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	u, err := mkfs.ReadUsage(t.Context(), f, uint64(info.Size()))
	require.NoError(t, err)
	return u
}

// freeBlocks returns what e2fsck would count: the free blocks in the bitmaps that dumpe2fs lists.
func freeBlocks(t *testing.T, image string) map[uint64]bool {
	t.Helper()
	out, err := exec.Command(tool(t, "dumpe2fs"), image).Output()
	require.NoError(t, err)
	free := map[uint64]bool{}
	for line := range strings.Lines(string(out)) {
		list, found := strings.CutPrefix(line, "  Free blocks: ")
		if !found {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimSpace(list), ", ") {
			var first, last uint64
			if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n == 1 {
				last = first
			}
			for b := first; b <= last; b++ {
				free[b] = true
			}
		}
	}
	require.NotEmpty(t, free)
	return free
}

func inRuns(u *mkfs.Usage) map[uint64]bool {
	used := map[uint64]bool{}
	for first, count := range u.Runs() {
		for b := first; b < first+count; b++ {
			used[b] = true
		}
	}
	return used
}

// What Format wrote is what ReadUsage says can be read: each block, and no other.
func TestUsageIsWhatFormatWrote(t *testing.T) {
	for _, o := range []mkfs.Options{{}, {Journal: true}, {Size: 64 * mib, GrowTo: 9 * tib, BytesPerInode: 64 * mib}} {
		const size = 400 * mib
		f := newImage(t, size)
		device := newStrictDevice(sparseFile{f}, size)
		l, err := mkfs.Format(t.Context(), device, size, o)
		require.NoError(t, err)
		u := readUsage(t, f.Name())
		require.Equal(t, l.Geometry(), u.Geometry)
		require.False(t, u.Unclean)
		require.Empty(t, u.Unreadable)
		require.Equal(t, l.MetadataBytes, u.Used()*mkfs.BlockSize)
		used := inRuns(u)
		require.Len(t, used, len(device.times))
		for block := range device.times {
			require.True(t, used[block] && u.Uses(block), "block %d", block)
		}
	}
}

func debugfs(t *testing.T, image string, commands ...string) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte(strings.Join(commands, "\n")+"\n"), 0o600))
	out, err := exec.Command(tool(t, "debugfs"), "-w", "-f", script, image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// What e2fsprogs allocates is in use; what it allocates and does not write is not; removed, it is neither.
func TestUsageOfFiles(t *testing.T) {
	image, _ := formatImage(t, 300*mib, mkfs.Options{})
	content := filepath.Join(t.TempDir(), "content")
	require.NoError(t, os.WriteFile(content, slices.Repeat([]byte("x"), mib), 0o600))
	debugfs(t, image, "write "+content+" written", "write "+content+" removed", "write /dev/null reserved",
		"fallocate reserved 0 9999", "rm removed")
	u := readUsage(t, image)
	free := freeBlocks(t, image)
	reserved := blocksOf(t, image, "reserved")
	require.Len(t, reserved, 10000)
	used := inRuns(u)
	require.Equal(t, u.Blocks, uint64(len(free)+len(used)+len(reserved)))
	for block := range u.Blocks {
		require.Equal(t, !free[block] && !slices.Contains(reserved, block), used[block], "block %d", block)
	}

	f, err := os.Open(image)
	require.NoError(t, err)
	defer f.Close()
	written := blocksOf(t, image, "written")
	asked := append([]uint64{0}, written[3:5]...)
	owners, err := mkfs.ReadOwners(t.Context(), f, 300*mib, asked)
	require.NoError(t, err)
	inode := uint64(12) // the first that is free
	owner := mkfs.Owner{Content: mkfs.ContentFile, Inode: inode, Paths: []string{"/written"}}
	require.Equal(t, map[uint64]mkfs.Owner{0: {Content: mkfs.ContentSuperblock}, written[3]: owner, written[4]: owner}, owners)
}

// blocksOf lists the data blocks of a file.
func blocksOf(t *testing.T, image, name string) (blocks []uint64) {
	t.Helper()
	out := debugfs(t, image, "blocks "+name)
	lines := strings.Split(out, "\n")
	for _, field := range strings.Fields(lines[len(lines)-2]) {
		var n uint64
		if _, err := fmt.Sscan(field, &n); err == nil {
			blocks = append(blocks, n)
		}
	}
	slices.Sort(blocks)
	return blocks
}

// A filesystem that mke2fs made leaves bitmaps and tables for later: these are not to be read. What it never writes, and
// still calls in use, is the descriptor reserve behind the copies of the superblock.
func TestUsageLeavesOutWhatIsInitialisedLater(t *testing.T) {
	image := newImage(t, 2*gib)
	out, err := exec.Command(tool(t, "mke2fs"), "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^metadata_csum,uninit_bg,^has_journal",
		"-E", "lazy_itable_init=1,nodiscard", image.Name()).CombinedOutput()
	require.NoError(t, err, "%s", out)
	u := readUsage(t, image.Name())
	const groupBlocks, reserve = 32768, 257
	for first, count := range u.Runs() {
		for b := first; b < first+count; b++ {
			inReserve := b > groupBlocks && b%groupBlocks < reserve
			require.True(t, inReserve || !isHole(t, image, b), "block %d", b)
		}
	}
}

func isHole(t *testing.T, f *os.File, block uint64) bool {
	t.Helper()
	const seekData = 3
	at, err := f.Seek(int64(block)*mkfs.BlockSize, seekData)
	return err != nil || uint64(at) >= (block+1)*mkfs.BlockSize
}

func TestUsageRefusesOthers(t *testing.T) {
	small := newImage(t, 64*mib).Name()
	out, err := exec.Command(tool(t, "mke2fs"), "-q", "-F", "-t", "ext4", "-b", "1024", small).CombinedOutput()
	require.NoError(t, err, "%s", out)
	image, _ := formatImage(t, 64*mib, mkfs.Options{})
	for name, c := range map[string]struct {
		image string
		size  uint64
	}{"blocks of 1024": {small, 64 * mib}, "cut off": {image, 32 * mib}} {
		f, err := os.Open(c.image)
		require.NoError(t, err)
		defer f.Close()
		_, err = mkfs.ReadUsage(t.Context(), f, c.size)
		require.ErrorIs(t, err, mkfs.ErrForeign, name)
	}
}

// failing fails to read some blocks.
type failing struct {
	io.ReaderAt
	bad map[int64]bool
}

var errBad = errors.New("bad block")

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	for n := at / mkfs.BlockSize; n < (at+int64(len(b)))/mkfs.BlockSize; n++ {
		if f.bad[n] {
			return 0, errBad
		}
	}
	return f.ReaderAt.ReadAt(b, at)
}

// Metadata that cannot be read is named, and the rest is told all the same.
func TestUsageNamesWhatCannotBeRead(t *testing.T) {
	image, _ := formatImage(t, 300*mib, mkfs.Options{})
	f, err := os.Open(image)
	require.NoError(t, err)
	defer f.Close()
	whole := readUsage(t, image)
	descriptor := make([]byte, 64)
	_, err = f.ReadAt(descriptor, mkfs.BlockSize)
	require.NoError(t, err)
	blockBitmap, inodeTable := int64(binary.LittleEndian.Uint32(descriptor)), int64(binary.LittleEndian.Uint32(descriptor[8:]))

	u, err := mkfs.ReadUsage(t.Context(), failing{f, map[int64]bool{inodeTable: true}}, 300*mib)
	require.NoError(t, err)
	require.Equal(t, []uint64{uint64(inodeTable)}, u.Unreadable)
	require.Equal(t, whole.Used(), u.Used())
	u, err = mkfs.ReadUsage(t.Context(), failing{f, map[int64]bool{blockBitmap: true}}, 300*mib)
	require.NoError(t, err)
	require.Equal(t, []uint64{uint64(blockBitmap)}, u.Unreadable)
	require.Less(t, u.Used(), whole.Used())
	for _, block := range []int64{0, 1} {
		_, err = mkfs.ReadUsage(t.Context(), failing{f, map[int64]bool{block: true}}, 300*mib)
		require.ErrorIs(t, err, errBad)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = mkfs.ReadUsage(cancelled, f, 300*mib)
	require.ErrorIs(t, err, context.Canceled)
}

// sparse is an image of which few blocks are not zero.
type sparse struct {
	blocks map[int64][]byte
	size   int64
}

func (s sparse) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(b)) > s.size {
		return 0, io.EOF
	}
	for i := 0; i < len(b); i += mkfs.BlockSize {
		clear(b[i : i+mkfs.BlockSize])
		copy(b[i:], s.blocks[(at+int64(i))/mkfs.BlockSize])
	}
	return len(b), nil
}

// FuzzReadUsage changes bytes of the metadata: whatever they say, reading ends, no block is outside the device, and no
// owner of a block is told with more names than fit.
func FuzzReadUsage(f *testing.F) {
	const size = 32 * mib
	image := sparse{map[int64][]byte{}, size}
	_, err := mkfs.Format(context.Background(), &oneAtATime{WriterAt: image}, size, mkfs.Options{BytesPerInode: mib})
	require.NoError(f, err)
	var places []int64
	for block, b := range image.blocks {
		if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			places = append(places, block)
		}
	}
	slices.Sort(places)
	f.Add([]byte{})
	f.Add([]byte{0, 4, 4, 255, 0, 4, 0x18, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		changed := sparse{map[int64][]byte{}, size}
		for block, b := range image.blocks {
			changed.blocks[block] = b
		}
		for ; len(changes) >= 4; changes = changes[4:] { // block, two bytes of place, value
			block := places[int(changes[0])%len(places)]
			b := slices.Clone(changed.blocks[block])
			b[(int(changes[1])<<8|int(changes[2]))%mkfs.BlockSize] = changes[3]
			changed.blocks[block] = b
		}
		u, err := mkfs.ReadUsage(t.Context(), changed, size)
		if err != nil {
			return
		}
		last, total := uint64(0), uint64(0)
		for first, count := range u.Runs() {
			require.GreaterOrEqual(t, first, last)
			last = first + count
			total += count
		}
		require.LessOrEqual(t, last, uint64(size/mkfs.BlockSize))
		require.Equal(t, u.Used(), total)
		var all []uint64
		for block := range uint64(size / mkfs.BlockSize) {
			all = append(all, block)
		}
		owners, err := mkfs.ReadOwners(context.Background(), changed, size, all)
		require.NoError(t, err)
		for _, owner := range owners {
			require.LessOrEqual(t, len(owner.Paths), 16)
		}
	})
}

func (s sparse) WriteAt(b []byte, at int64) (int, error) {
	for i := 0; i < len(b); i += mkfs.BlockSize {
		s.blocks[(at+int64(i))/mkfs.BlockSize] = slices.Clone(b[i : i+mkfs.BlockSize])
	}
	return len(b), nil
}

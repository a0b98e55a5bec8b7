package storage_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// repeats is how often a random attack is repeated: enough to notice a mistake, or
// with TRUSTED_STORE_SOAK=1 enough to believe that there is none.
func repeats(short, long int) int {
	if os.Getenv("TRUSTED_STORE_SOAK") == "1" {
		return long
	}
	return short
}

// numberedSize leaves some hundred blocks for data.
const numberedSize = 18 * mib

// numbered is a live store without a filesystem of which every block holds its
// own number, all over, on a disk with one run of tags.
type numbered struct {
	*storage.Store
	disk   string
	layout integrity.Layout
}

func newNumbered(t *testing.T, disk string) *numbered {
	t.Helper()
	layout, err := integrity.Plan(numberedSize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	n := &numbered{create(t, disk, storage.CreateOptions{MountPoint: storage.NoMount}), disk, layout}
	f, err := os.OpenFile(n.Path(), os.O_WRONLY, 0)
	require.NoError(t, err)
	for block := range n.blocks() {
		_, err := f.Write(numberedBlock(block))
		require.NoError(t, err)
	}
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	return n
}

func (n *numbered) blocks() uint64 { return n.layout.ProvidedSectors / 8 }

func numberedBlock(number uint64) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, number), 4096/8)
}

// data and tag return where a block and its tag are on the disk.
func (n *numbered) data(block uint64) int64 { return int64(n.layout.DataSector(block*8)) * 512 }
func (n *numbered) tag(block uint64) int64  { return int64(n.layout.TagPosition(block * 8)) }

// owner returns the block that a byte of the disk belongs to, as data or as tag.
func (n *numbered) owner(at int64) (block uint64, ok bool) {
	if first := n.data(0); at >= first {
		block = uint64(at-first) / 4096
	} else if first := n.tag(0); at >= first {
		block = uint64(at-first) / 32
	} else {
		return 0, false // superblock and journal, which are not read again
	}
	return block, block < n.blocks()
}

// alignedPage is a block of memory that direct I/O takes, until the test ends.
func alignedPage(t *testing.T) []byte {
	t.Helper()
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(page)) })
	return page
}

// check reads all blocks from the disk. Those in bad must be unreadable, and
// every other one must hold its number.
func (n *numbered) check(t *testing.T, bad map[uint64]bool) {
	t.Helper()
	storagetest.DropBuffers(t)
	f, err := os.OpenFile(n.Path(), os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	page := alignedPage(t)
	for block := range n.blocks() {
		clear(page)
		_, err := f.ReadAt(page, int64(block)*4096)
		switch {
		case bad[block]:
			require.Error(t, err, "block %d was changed and can be read", block)
			require.True(t, errorIsOneOf(err, unix.EIO, unix.EILSEQ), "%v", err)
			// A direct reader's memory holds ciphertext now: it was read there
			// to be decrypted in place.
			require.NotContains(t, string(page), string(numberedBlock(block)[:64]), "block %d: an error and contents", block)
		default:
			require.NoError(t, err, "block %d was not changed", block)
			require.True(t, bytes.Equal(numberedBlock(block), page), "block %d has the contents of %d", block, binary.LittleEndian.Uint64(page))
		}
	}
}

// seen checks that Status does not claim that there was no error.
func (n *numbered) seen(t *testing.T) {
	t.Helper()
	status, err := n.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.IntegrityErrors.Known && status.IntegrityErrors.AtLeast == 0, "a false 0")
}

// Bits flip anywhere, in data and in tags: the blocks that were hit cannot be
// read, and no other one is concerned.
func TestRandomBits(t *testing.T) {
	kernel(t)
	const each = 25
	n := newNumbered(t, storagetest.Disk(t, numberedSize))
	n.check(t, nil)
	for round := range repeats(4, 40) {
		random := rand.New(rand.NewPCG(7, uint64(round)))
		places, bad := map[int64]bool{}, map[uint64]bool{}
		for len(places) < each {
			at := superblockOffset + random.Int64N(numberedSize-superblockOffset)
			if random.IntN(2) == 0 { // tags are few: half of the flips go there
				at = n.tag(random.Uint64N(n.blocks())) + random.Int64N(32)
			}
			if block, ok := n.owner(at); ok {
				bad[block] = true
			}
			places[at] = true
		}
		flip := func() {
			for at := range places {
				storagetest.FlipBit(t, n.disk, at)
			}
		}
		flip()
		n.check(t, bad)
		n.seen(t)
		flip() // back
	}
	n.check(t, nil)
}

// Blocks and tags that the host moves, alone and together, are no good in
// another place.
func TestMovedBlocks(t *testing.T) {
	kernel(t)
	n := newNumbered(t, storagetest.Disk(t, numberedSize))
	storagetest.SwapBytes(t, n.disk, n.data(10), n.data(20), 4096)
	storagetest.SwapBytes(t, n.disk, n.tag(10), n.tag(20), 32)
	storagetest.SwapBytes(t, n.disk, n.data(30), n.data(40), 4096)
	storagetest.SwapBytes(t, n.disk, n.tag(50), n.tag(60), 32)
	storagetest.WriteBytes(t, n.disk, n.data(70), storagetest.ReadBytes(t, n.disk, n.data(71), 4096))
	storagetest.WriteBytes(t, n.disk, n.tag(70), storagetest.ReadBytes(t, n.disk, n.tag(71), 32))
	storagetest.WriteBytes(t, n.disk, n.data(80), make([]byte, 4096))
	storagetest.WriteBytes(t, n.disk, n.tag(80), make([]byte, 32))
	n.check(t, map[uint64]bool{10: true, 20: true, 30: true, 40: true, 50: true, 60: true, 70: true, 80: true})
	n.seen(t)
}

// Blocks and tags of another volume are no good either.
func TestBlocksOfAnotherVolume(t *testing.T) {
	kernel(t)
	n, other := newNumbered(t, storagetest.Disk(t, numberedSize)), newNumbered(t, storagetest.Disk(t, numberedSize))
	bad := map[uint64]bool{}
	for block := uint64(100); block < 110; block++ {
		storagetest.WriteBytes(t, n.disk, n.data(block), storagetest.ReadBytes(t, other.disk, n.data(block), 4096))
		storagetest.WriteBytes(t, n.disk, n.tag(block), storagetest.ReadBytes(t, other.disk, n.tag(block), 32))
		bad[block] = true
	}
	n.check(t, bad)
	other.check(t, nil)
	n.seen(t)
}

// The end of the disk goes away, and comes back; parts of it fail; it becomes
// slow. Nobody reads anything wrong, and the rest of it works.
func TestFailingDisk(t *testing.T) {
	kernel(t)
	faulty := storagetest.NewFaulty(t, storagetest.Disk(t, numberedSize))
	n := newNumbered(t, faulty.Path())
	half := n.blocks() / 2

	faulty.Set(t, storagetest.Fault{Offset: n.data(half), Kind: storagetest.FailAll})
	bad := map[uint64]bool{}
	for block := half; block < n.blocks(); block++ {
		bad[block] = true
	}
	n.check(t, bad)

	faulty.Set(t, storagetest.Fault{Offset: n.data(7), Length: 4096}, storagetest.Fault{Offset: n.data(9), Length: 4096, Kind: storagetest.FailWrites})
	n.check(t, map[uint64]bool{7: true})

	faulty.Set(t, storagetest.Fault{Offset: n.data(3), Length: 2 * 4096, Kind: storagetest.Slow, Delay: 50 * time.Millisecond})
	n.check(t, nil)

	faulty.Set(t)
	n.check(t, nil)
}

// A disk that says that it wrote what it did not: the old block with the old tag
// is what the promise of freshness would be about, which tags on the disk do not
// give; a new tag with the old block is an error.
func TestLostWrites(t *testing.T) {
	kernel(t)
	faulty := storagetest.NewFaulty(t, storagetest.Disk(t, numberedSize))
	n := newNumbered(t, faulty.Path())
	faulty.Set(t, storagetest.Fault{Offset: n.data(0), Kind: storagetest.DropWrites})
	f, err := os.OpenFile(n.Path(), os.O_WRONLY|unix.O_SYNC, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte("new!"), 1024), 5*4096)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	n.check(t, map[uint64]bool{5: true})
	n.seen(t)
}

// The kernel logs few errors in a short time, whichever store they are of: a
// store whose error came when another had many must not look like one without.
func TestErrorsAmongManyOthers(t *testing.T) {
	kernel(t)
	many, one := newNumbered(t, storagetest.Disk(t, numberedSize)), newNumbered(t, storagetest.Disk(t, numberedSize))
	bad := map[uint64]bool{}
	for block := range uint64(50) {
		storagetest.FlipBit(t, many.disk, many.data(block))
		bad[block] = true
	}
	storagetest.FlipBit(t, one.disk, one.data(3))
	many.check(t, bad)
	one.check(t, map[uint64]bool{3: true})
	many.seen(t)
	one.seen(t)
}

// With a filesystem on top, whose own blocks are hit too: a file is what was
// written or cannot be read.
func TestRandomBitsUnderFiles(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	s := create(t, disk, storage.CreateOptions{})
	want := map[string][]byte{}
	for i := range 100 {
		name := filepath.Join(fmt.Sprint("d", i%5), fmt.Sprint(i))
		want[name] = bytes.Repeat([]byte{byte(i)}, 1+i*400)
		writeFile(t, filepath.Join(s.MountPoint(), name), string(want[name]))
	}
	require.NoError(t, unix.Unmount(s.MountPoint(), 0))
	whole := storagetest.TakeSnapshot(t, disk, 0, 0)
	unreadable := 0
	for round := range repeats(3, 50) {
		random := rand.New(rand.NewPCG(8, uint64(round)))
		for range 200 {
			storagetest.FlipBit(t, disk, superblockOffset+200<<10+random.Int64N(smallVolume-superblockOffset-200<<10))
		}
		storagetest.DropBuffers(t)
		if err := unix.Mount(s.Path(), s.MountPoint(), "ext4", unix.MS_RDONLY, "errors=continue"); err != nil {
			unreadable += len(want)
		} else {
			for name, contents := range want {
				got, err := os.ReadFile(filepath.Join(s.MountPoint(), name))
				if err != nil {
					unreadable++
					continue
				}
				require.True(t, bytes.Equal(contents, got), "%s: wrong contents", name)
			}
			require.NoError(t, unix.Unmount(s.MountPoint(), 0))
		}
		whole.Replay(t)
	}
	require.NotZero(t, unreadable, "no flip has hit anything")
	storagetest.DropBuffers(t)
	require.NoError(t, unix.Mount(s.Path(), s.MountPoint(), "ext4", 0, ""))
	for name, contents := range want {
		require.Equal(t, string(contents), readFile(t, filepath.Join(s.MountPoint(), name)))
	}
}

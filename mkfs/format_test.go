package mkfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// sizes are those at which layouts differ: the least, one and a few groups with and without a rest, the end of the
// first flex group, of the first descriptor block, and large ones.
var sizes = []uint64{
	mkfs.MinSize, mkfs.MinSize + 4096, 300 * kib, 1 * mib, 3*mib + 20480, 8 * mib, 47 * mib, 64 * mib, 110 * mib,
	127 * mib, 128*mib - 4096, 128 * mib, 128*mib + 4096, 129 * mib, 131 * mib, 256 * mib, 512 * mib, 1000*mib + 4096,
	2048*mib - 4096, 2048 * mib, 2049 * mib, 2483 * mib, 2500 * mib, 8 * gib, 8*gib + 4096, 8*gib + 4*mib, 56 * gib,
}

const leastWithJournal = 8 * mib

func TestFormatIsCleanAtEverySize(t *testing.T) {
	for _, size := range sizes {
		for _, journal := range []bool{false, true} {
			if journal && size < leastWithJournal {
				continue
			}
			t.Run(fmt.Sprintf("%d,journal=%t", size, journal), func(t *testing.T) {
				image, l := formatImage(t, size, mkfs.Options{Journal: journal})
				require.LessOrEqual(t, l.Size(), size)
				require.Equal(t, journal, l.JournalBlocks > 0)
				requireClean(t, image)
			})
		}
	}
}

func TestFormatIsCleanWithEveryOption(t *testing.T) {
	cases := map[string]mkfs.Options{
		"small inodes":               {InodeSize: 128},
		"small inodes and journal":   {InodeSize: 128, Journal: true},
		"kata's encrypted emptyDir":  {InodeSize: 128, BytesPerInode: 163840},
		"most inodes":                {BytesPerInode: 1024},
		"most small inodes":          {BytesPerInode: 4096, InodeSize: 128},
		"fewest inodes":              {BytesPerInode: 64 * mib},
		"odd ratio":                  {BytesPerInode: 12345},
		"label of 16 bytes":          {Label: "0123456789abcdef"},
		"own UUID":                   {UUID: uuid.MustParse("6e1a0f61-3a35-4d64-9d2c-fb8c0ee2cf3d")},
		"grow to the same":           {GrowTo: 2500 * mib},
		"grow to 16 GiB":             {GrowTo: 16 * gib},
		"grow to 1 TiB":              {GrowTo: tib},
		"grow to 8 TiB":              {GrowTo: 8 * tib},
		"grow to 15 TiB and journal": {GrowTo: 15 * tib, Journal: true},
		"grow to 100 TiB":            {GrowTo: 100 * tib},
		"seed":                       {Size: 64 * mib, GrowTo: 2500 * mib},
		"seed and most inodes":       {Size: 64 * mib, GrowTo: 2500 * mib, BytesPerInode: 4096},
		"small seed of 1 TiB":        {Size: 16 * mib, GrowTo: tib},
		"seed of 15 TiB, journal":    {Size: 512 * mib, GrowTo: 15 * tib, Journal: true},
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			image, _ := formatImage(t, 2500*mib, o)
			requireClean(t, image)
		})
	}
}

// TestFormatIsCleanOnGarbage shows that nothing that e2fsck or the kernel looks at was left unwritten: what was there
// before is not zero.
func TestFormatIsCleanOnGarbage(t *testing.T) {
	for _, size := range []uint64{mkfs.MinSize, 12 * mib, 129 * mib, 300 * mib} {
		for _, o := range []mkfs.Options{{}, {Journal: true}, {GrowTo: tib}, {InodeSize: 128}} {
			if size < leastWithJournal && (o.Journal || o.GrowTo > 0) {
				continue
			}
			t.Run(fmt.Sprintf("%d,journal=%t,grow=%d,inode=%d", size, o.Journal, o.GrowTo, o.InodeSize), func(t *testing.T) {
				f := newImage(t, size)
				fillWithGarbage(t, f, size)
				device := newStrictDevice(f, size)
				_, err := mkfs.Format(context.Background(), device, size, o)
				require.NoError(t, err)
				requireClean(t, f.Name())
				require.NoError(t, exec.Command(tool(t, "dumpe2fs"), f.Name()).Run())
			})
		}
	}
}

func fillWithGarbage(t *testing.T, f *os.File, size uint64) {
	t.Helper()
	garbage := make([]byte, mib)
	for i := range garbage {
		garbage[i] = 0xA5
	}
	for off := uint64(0); off < size; off += mib {
		_, err := f.WriteAt(garbage[:min(mib, size-off)], int64(off))
		require.NoError(t, err)
	}
}

func TestFormatWritesEachUsedBlockOnce(t *testing.T) {
	for _, size := range []uint64{mkfs.MinSize, 47 * mib, 129 * mib, 2500 * mib, 8*gib + 4*mib, 56 * gib} {
		for _, o := range []mkfs.Options{{}, {Journal: true}, {GrowTo: tib}} {
			if size < leastWithJournal && (o.Journal || o.GrowTo > 0) {
				continue
			}
			t.Run(fmt.Sprintf("%d,journal=%t,grow=%d", size, o.Journal, o.GrowTo), func(t *testing.T) {
				f := newImage(t, size)
				device := newStrictDevice(sparseFile{f}, size)
				l, err := mkfs.Format(context.Background(), device, size, o)
				require.NoError(t, err)
				require.Equal(t, l.MetadataBytes, device.bytes())
				require.Equal(t, usedBlocks(t, f, l), device.times)
				require.Equal(t, write{0, mkfs.BlockSize}, device.writes[len(device.writes)-1], "superblock last")
				t.Logf("%d bytes in %d writes", device.bytes(), len(device.writes))
			})
		}
	}
}

func TestFormatIsCleanAtRandom(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 6
	}
	for range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			size, o := randomOptions(rand.New(rand.NewPCG(seed, 0)))
			t.Logf("size %d, %+v", size, o)
			image, _ := formatImage(t, size, o)
			requireClean(t, image)
		})
	}
}

func randomOptions(r *rand.Rand) (uint64, mkfs.Options) {
	size := uint64(32*mib) << r.IntN(7)
	size += r.Uint64N(size)
	o := mkfs.Options{
		BytesPerInode: 1024 << r.IntN(12),
		InodeSize:     128 << r.IntN(2),
		Journal:       r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		o.GrowTo = size << r.IntN(14)
		o.BytesPerInode = max(o.BytesPerInode, o.GrowTo>>31) // more inodes than ext4 can count are refused
	}
	return size, o
}

// TestFormatIsCleanWhenHuge needs about half a gigabyte of disk: the inode bitmaps are not zero.
func TestFormatIsCleanWhenHuge(t *testing.T) {
	if testing.Short() || storagetest.Bed() != "" {
		t.Skip("writes half a gigabyte: a bed's /tmp is memory")
	}
	for _, size := range []uint64{tib, 15 * tib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			image, l := formatImage(t, size, mkfs.Options{})
			require.Equal(t, size, l.Size())
			requireClean(t, image)
		})
	}
}

func TestFormatStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("guest is going down")
	device := newStrictDevice(nil, gib)
	_, err := mkfs.Format(ctx, device, gib, mkfs.Options{Progress: func(done, total uint64) { cancel(reason) }})
	require.ErrorIs(t, err, reason)
	require.LessOrEqual(t, len(device.writes), underWay)
	require.NotContains(t, device.times, uint64(0), "an unfinished filesystem must have no superblock")
}

// Writes of zeros overlap, and none is under way any more when Format and PrepareGrowth return, also after a failure.
func TestWritesOverlapAndEnd(t *testing.T) {
	l, err := mkfs.Plan(gib, mkfs.Options{Size: 256 * mib, GrowTo: gib})
	require.NoError(t, err)
	for name, write := range map[string]func(io.WriterAt) error{
		"format": func(d io.WriterAt) error {
			_, err := mkfs.Format(t.Context(), d, gib, mkfs.Options{})
			return err
		},
		"prepare growth": func(d io.WriterAt) error {
			return l.PrepareGrowth(t.Context(), d, l.Geometry().Growth(gib))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &failingDevice{together: make(chan struct{})}
			require.ErrorIs(t, write(d), unix.EIO)
			d.returned.Store(true)
			time.Sleep(20 * time.Millisecond)
			require.False(t, d.late.Load())
		})
	}
}

func TestFormatReportsWhereTheDeviceFailed(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	_, err = mkfs.Format(context.Background(), full, 64*mib, mkfs.Options{})
	var op *mkfs.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "write", op.Op)
	require.Equal(t, int64(mkfs.BlockSize), op.Offset, "block 0 comes last")
	require.ErrorContains(t, err, "no space left on device")
}

func TestFormatReportsProgress(t *testing.T) {
	var last uint64
	o := mkfs.Options{Progress: func(done, total uint64) {
		require.Greater(t, done, last)
		require.LessOrEqual(t, done, total)
		last = done
	}}
	l, err := mkfs.Format(context.Background(), newStrictDevice(nil, gib), gib, o)
	require.NoError(t, err)
	require.Equal(t, l.MetadataBytes, last)
}

func TestFormatMakesItsOwnUUID(t *testing.T) {
	device := newStrictDevice(nil, gib)
	a, err := mkfs.Format(context.Background(), device, gib, mkfs.Options{})
	require.NoError(t, err)
	b, err := mkfs.Format(context.Background(), device, gib, mkfs.Options{})
	require.NoError(t, err)
	require.NotEqual(t, uuid.Nil, a.UUID)
	require.NotEqual(t, a.UUID, b.UUID)
}

func TestFormatWorksWithDirectIO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 64*mib))
	f, err := openDirect(path)
	if err != nil {
		t.Skipf("no direct I/O here: %v", err)
	}
	defer f.Close()
	_, err = mkfs.Format(context.Background(), f, 64*mib, mkfs.Options{Journal: true})
	require.NoError(t, err)
	requireClean(t, path)
}

package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// replayDisk is the size of the disk on which old states are put back.
const replayDisk = 64 * mib

// victim is a file whose blocks a host may put back.
type victim struct {
	path   string
	blocks []uint64 // of the filesystem
}

const victimBlocks = 16

func contentsOf(generation byte) []byte { return bytes.Repeat([]byte{generation}, victimBlocks*4096) }

// write writes the file's contents in place, so that its blocks stay.
func (v *victim) write(t *testing.T, generation byte) {
	t.Helper()
	f, err := os.OpenFile(v.path, os.O_WRONLY|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.Write(contentsOf(generation))
	require.NoError(t, errors.Join(err, f.Sync(), f.Close()))
	v.blocks = nil
	for i := range int32(victimBlocks) {
		v.blocks = append(v.blocks, blockOf(t, v.path, i))
	}
}

// writeOver writes a file that gets blocks of another that was deleted, and returns
// the first of them: one as large as what is left gets them all.
func (v *victim) writeOver(t *testing.T, old []uint64) (index int) {
	t.Helper()
	f, err := os.Create(v.path)
	require.NoError(t, err)
	for err == nil {
		_, err = f.Write(contentsOf('n'))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, errors.Join(f.Sync(), f.Close()))
	for i := int32(0); ; i += victimBlocks / 2 {
		if slices.Contains(old, blockOf(t, v.path, i)) {
			return int(i)
		}
	}
}

// replays are what a host may do with an earlier state of the device. Each takes
// what it needs of the disk, and returns what puts it back.
var replays = map[string]func(t *testing.T, disk string, l integrity.Layout, v *victim) (back func()){
	"a block with its tag": func(t *testing.T, disk string, l integrity.Layout, v *victim) func() {
		return keepBlocks(t, disk, l, v.blocks[3:4])
	},
	"a run of blocks": func(t *testing.T, disk string, l integrity.Layout, v *victim) func() {
		return keepBlocks(t, disk, l, v.blocks)
	},
	"the whole device": func(t *testing.T, disk string, _ integrity.Layout, _ *victim) func() {
		s := storagetest.TakeSnapshot(t, disk, 0, replayDisk)
		return func() { s.Replay(t) }
	},
}

// keepBlocks remembers blocks and, where they are on the disk, their tags.
func keepBlocks(t *testing.T, disk string, l integrity.Layout, blocks []uint64) (back func()) {
	t.Helper()
	type kept struct {
		at    int64
		bytes []byte
	}
	var all []kept
	keep := func(at uint64, n int) {
		all = append(all, kept{int64(at), storagetest.ReadBytes(t, disk, int64(at), n)})
	}
	for _, b := range blocks {
		if l.Separate {
			keep(16*mib+l.DataSector(b*8)*512, 4096)
			continue
		}
		keep(l.DataSector(b*8)*512, 4096)
		keep(l.TagPosition(b*8), integrity.TagSize)
	}
	return func() {
		for _, k := range all {
			storagetest.WriteBytes(t, disk, k.at, k.bytes)
		}
	}
}

func replayLayout(t *testing.T, tags storage.TagsPlace) (integrity.Layout, error) {
	t.Helper()
	if tags == storage.TagsInMemory {
		return integrity.PlanSeparate((replayDisk - 16*mib) / 512)
	}
	return integrity.Plan(replayDisk/512, 32768, integrity.MinimalJournal)
}

// What a host puts back cannot be read where the tags are in memory. Where they
// are on the device it reads as good: that is the contrast, and why nobody may
// promise freshness there.
func TestReplay(t *testing.T) {
	kernel(t)
	for name, replay := range replays {
		for tags, what := range map[storage.TagsPlace]string{storage.TagsOnDevice: "device", storage.TagsInMemory: "memory"} {
			t.Run(name+", tags on "+what, func(t *testing.T) {
				disk := storagetest.Disk(t, replayDisk)
				s := create(t, disk, storage.CreateOptions{Tags: storage.TagOptions{Place: tags}})
				layout, err := replayLayout(t, tags)
				require.NoError(t, err)
				v := &victim{path: filepath.Join(s.MountPoint(), "victim")}
				v.write(t, 'o')
				storagetest.DropBuffers(t)
				blocks := v.blocks
				back := replay(t, disk, layout, v)
				v.write(t, 'n')
				require.Equal(t, blocks, v.blocks, "the premise: written in place")
				storagetest.DropBuffers(t)
				back()
				storagetest.DropBuffers(t)
				checkReplayed(t, v, 3, tags)
			})
		}
	}
}

// checkReplayed reads a block that was put back; every replay does the fourth.
func checkReplayed(t *testing.T, v *victim, index int, tags storage.TagsPlace) {
	t.Helper()
	f, err := os.Open(v.path)
	if tags == storage.TagsInMemory && err != nil {
		return // the directory itself was put back
	}
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 4096)
	_, err = f.ReadAt(block, int64(index)*4096)
	if tags == storage.TagsOnDevice {
		require.NoError(t, err)
		require.Equal(t, contentsOf('o')[:4096], block, "stale data, read as good")
		return
	}
	require.Error(t, err)
	require.True(t, errorIsOneOf(err, unix.EIO, unix.EILSEQ), "%v", err)
}

// The blocks of a file that was deleted, under a new one that got the same.
func TestReplayOfADeletedFile(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, replayDisk)
	s := create(t, disk, storage.CreateOptions{Tags: inMemory})
	layout, err := replayLayout(t, storage.TagsInMemory)
	require.NoError(t, err)
	v := &victim{path: filepath.Join(s.MountPoint(), "victim")}
	v.write(t, 'o')
	storagetest.DropBuffers(t)
	old := v.blocks
	back := keepBlocks(t, disk, layout, old)
	require.NoError(t, os.Remove(v.path))
	unix.Sync()
	v.path = filepath.Join(s.MountPoint(), "new")
	index := v.writeOver(t, old)
	storagetest.DropBuffers(t)
	back()
	checkReplayed(t, v, index, storage.TagsInMemory)
}

// Under the load of 16 workers every single replay is detected, and no read fails
// that should not.
func TestReplaysUnderLoadFourCPUs(t *testing.T) {
	kernel(t)
	count, atLeast := 50, time.Duration(0)
	if soak() {
		count, atLeast = 1000, 10*time.Minute
	}
	disk := largeDisk(t, 2500*mib)
	s := create(t, disk, storage.CreateOptions{Tags: inMemory, Overwrite: storage.OverwriteAnything})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load errgroup.Group
	writers := make([]writer, 16)
	for i := range writers {
		w := &writers[i]
		*w = writer{filepath.Join(s.MountPoint(), fmt.Sprint("load-", i)), map[string]contents{}}
		load.Go(func() error { return w.loop(ctx, 8*mib) })
	}
	v := &victim{path: filepath.Join(s.MountPoint(), "victim")}
	v.write(t, 'a')
	page, began := alignedPage(t), time.Now()
	replays := 0
	for ; replays < count || time.Since(began) < atLeast; replays++ {
		require.True(t, replayOne(t, disk, v, page), "replay %d went unnoticed", replays)
	}
	stop()
	require.NoError(t, load.Wait(), "a false alarm")
	for i := range writers {
		writers[i].verify(t)
	}
	t.Logf("%d replays in %v, all detected", replays, time.Since(began).Round(time.Second))
}

// replayOne writes a block anew, puts the one of before back, and reports whether
// reading it fails. The block is well again afterwards.
func replayOne(t *testing.T, disk string, v *victim, page []byte) (detected bool) {
	t.Helper()
	f, err := os.OpenFile(v.path, os.O_RDWR|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	index := mathrand.IntN(victimBlocks)
	at := int64(16*mib + v.blocks[index]*4096)
	before := storagetest.ReadBytes(t, disk, at, 4096)
	write := func() {
		for i := range page {
			page[i] = byte(mathrand.Uint32())
		}
		_, err := f.WriteAt(page, int64(index)*4096)
		require.NoError(t, err)
	}
	write()
	storagetest.WriteBytes(t, disk, at, before)
	_, err = f.ReadAt(page, int64(index)*4096)
	write()
	_, again := f.ReadAt(page, int64(index)*4096)
	require.NoError(t, again, "a block that was written again")
	return err != nil && errorIsOneOf(err, unix.EIO, unix.EILSEQ)
}

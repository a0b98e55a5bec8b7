package storage_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const verifySize = 64 * mib

// fillForVerify leaves all kinds of blocks that were never written: freed ones,
// reserved ones, and what was reserved in part.
func fillForVerify(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"a/one", "a/two", "a/removed", "b/three", "b/c/d/deep"} {
		writeFile(t, filepath.Join(dir, name), strings.Repeat(name, 20_000))
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "a/removed")))
	f, err := os.Create(filepath.Join(dir, "reserved"))
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, 8*mib))
	_, err = f.WriteAt([]byte("in the middle of it"), 4*mib)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// verify expects a store of which everything can be read, and no read that the
// kernel logs.
func verify(t *testing.T, s *storage.Store, opts storage.VerifyOptions) *storage.Verification {
	t.Helper()
	log := storagetest.KernelLog(t)
	v, err := storage.Verify(t.Context(), s.Name(), opts)
	require.NoError(t, err, "%+v", v)
	require.Empty(t, v.Unreadable)
	require.True(t, v.Complete)
	requireNoErrors(t, log)
	return v
}

// Nothing that was never written is read, mounted and unmounted, with and without
// a journal, on a filesystem that the kernel has grown.
func TestVerifyReadsWhatWasWritten(t *testing.T) {
	kernel(t)
	for name, c := range map[string]struct {
		size int64
		opts storage.CreateOptions
	}{
		"ephemeral": {verifySize, storage.CreateOptions{}},
		"keyed":     {verifySize, storage.CreateOptions{Key: newKey(t, longKey)}},
		"plain":     {verifySize, storage.CreateOptions{Integrity: storage.NoIntegrity}},
		"grown":     {2500 * mib, storage.CreateOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := create(t, storagetest.Disk(t, c.size), c.opts)
			require.NoError(t, s.Grown(t.Context()))
			fillForVerify(t, s.MountPoint())
			var last storage.Progress
			mounted := verify(t, s, storage.VerifyOptions{Progress: func(p storage.Progress) { last = p }})
			require.Equal(t, storage.Progress{Step: storage.StepVerify, Done: mounted.Bytes, Total: mounted.Bytes}, last)
			require.Equal(t, c.opts.Integrity == storage.HMACSHA256, mounted.Authenticated)
			require.Greater(t, mounted.Bytes, uint64(400_000))
			unmountStore(t, s)
			defer mountStore(t, s)
			require.Equal(t, mounted.Bytes, verify(t, s, storage.VerifyOptions{}).Bytes)
		})
	}
}

// While a store is in use blocks are freed before they were written, and used
// before they are: nothing of that is reported.
func TestVerifyWhileInUse(t *testing.T) {
	kernel(t)
	for _, key := range []*storage.Key{nil, newKey(t, longKey)} {
		s := create(t, storagetest.Disk(t, 256*mib), storage.CreateOptions{Key: key})
		ctx, cancel := context.WithCancel(t.Context())
		var writers errgroup.Group
		for i := range 2 {
			w := writer{dir: filepath.Join(s.MountPoint(), string(rune('a'+i))), files: map[string]contents{}}
			writers.Go(func() error { return w.run(ctx, 40*mib) })
		}
		for range repeats(3, 50) {
			v, err := storage.Verify(t.Context(), s.MountPoint(), storage.VerifyOptions{})
			require.NoError(t, err, "%+v", v)
		}
		cancel()
		require.NoError(t, writers.Wait())
		verify(t, s, storage.VerifyOptions{})
	}
}

// What the host changed is found, wherever it is, and nothing else is reported.
func TestVerifyFindsWhatWasChanged(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, verifySize)
	s := create(t, disk, storage.CreateOptions{})
	fillForVerify(t, s.MountPoint())
	unix.Sync()
	layout, err := integrity.Plan(verifySize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	inStore := func(name string) string { return filepath.Join(s.MountPoint(), name) }
	one, two, three, deep := inStore("a/one"), inStore("a/two"), inStore("b/three"), inStore("b/c/d/deep")
	require.NoError(t, os.Link(one, inStore("b/c/other")))
	moved := inStore("b/c/d/moved\nsectors 0")
	require.NoError(t, os.Rename(three, moved))
	flip := func(block uint64) storage.Unreadable {
		storagetest.FlipBit(t, disk, int64(layout.DataSector(block*8))*512+77)
		return storage.Unreadable{Sector: block * 8, Sectors: 8, Cause: storage.Unauthentic}
	}
	inOne, inMoved, inTwo := blockOf(t, one, 2), blockOf(t, moved, 1), blockOf(t, two, 0)
	inDeep := blockOf(t, deep, 0)
	inodes := []uint64{inodeOf(t, one), inodeOf(t, moved), inodeOf(t, deep)}
	require.NoError(t, os.Remove(two))
	unmountStore(t, s)
	storagetest.DropBuffers(t) // or what the kernel has yet to write hides what is changed

	inFile := flip(inOne)
	inFile.Holds, inFile.Inode, inFile.Paths = mkfs.ContentFile, inodes[0], []string{"/a/one", "/b/c/other"}
	storagetest.FlipBit(t, disk, int64(layout.TagPosition(inMoved*8)))
	inTag := storage.Unreadable{Sector: inMoved * 8, Sectors: 8, Cause: storage.Unauthentic,
		Holds: mkfs.ContentFile, Inode: inodes[1], Paths: []string{"/b/c/d/moved\nsectors 0"}}
	nested := flip(inDeep)
	nested.Holds, nested.Inode, nested.Paths = mkfs.ContentFile, inodes[2], []string{"/b/c/d/deep"}
	flip(inTwo)                                       // of no use to anybody
	table := flip(descriptorOf(t, s.Path(), 8) + 100) // of inodes that nobody uses yet
	table.Holds = mkfs.ContentInodeTable
	storagetest.DropBuffers(t)

	for _, mounted := range []bool{false, true} {
		if mounted {
			mountStore(t, s)
		}
		v, err := storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity)
		require.ErrorContains(t, err, "4 blocks of 4096 bytes cannot be read")
		require.ElementsMatch(t, []storage.Unreadable{table, inFile, inTag, nested}, v.Unreadable)
		require.Equal(t, uint64(4*4096), v.UnreadableBytes)
		require.True(t, v.Complete)
		require.NotContains(t, fmt.Sprint(v.Unreadable), "\n")
	}
}

// A damaged directory has its own name still, what it names has none; a damaged
// inode table names whose inodes it has. Only an unmounted filesystem is sure to be
// read from the device.
func TestVerifyNamesDamagedMetadata(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, verifySize)
	s := create(t, disk, storage.CreateOptions{})
	fillForVerify(t, s.MountPoint())
	unix.Sync()
	layout, err := integrity.Plan(verifySize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	directory, deep := filepath.Join(s.MountPoint(), "b/c/d"), filepath.Join(s.MountPoint(), "b/c/d/deep")
	inDeep, inodes := blockOf(t, deep, 0), []uint64{inodeOf(t, directory), inodeOf(t, deep)}
	unmountStore(t, s)
	inDirectory := directoryBlock(t, s.Path(), inodes[0])
	table := descriptorOf(t, s.Path(), 8)
	flip := func(block uint64) {
		storagetest.FlipBit(t, disk, int64(layout.DataSector(block*8))*512+77)
		storagetest.DropBuffers(t)
	}
	unreadable := func() []storage.Unreadable {
		v, err := storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity)
		return v.Unreadable
	}
	at := func(block uint64, u storage.Unreadable) storage.Unreadable {
		u.Sector, u.Sectors, u.Cause = block*8, 8, storage.Unauthentic
		return u
	}
	storagetest.DropBuffers(t)

	flip(inDirectory)
	flip(inDeep)
	require.ElementsMatch(t, []storage.Unreadable{
		at(inDirectory, storage.Unreadable{Holds: mkfs.ContentDirectory, Inode: inodes[0], Paths: []string{"/b/c/d"}}),
		at(inDeep, storage.Unreadable{Holds: mkfs.ContentFile, Inode: inodes[1]}),
	}, unreadable())
	flip(inDirectory) // back
	flip(inDeep)

	tableBlock := (inodes[1] - 1) / (4096 / 256)
	flip(table + tableBlock)
	found := unreadable()
	require.Len(t, found, 1)
	require.Equal(t, mkfs.ContentInodeTable, found[0].Holds)
	require.Equal(t, (table+tableBlock)*8, found[0].Sector)
	require.Contains(t, found[0].Paths, "/b/c")
	flip(table + tableBlock)
	mountStore(t, s)
}

// A file that gets other names while they are looked for has one of them, or none.
func TestVerifyNamesWhatMoves(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, verifySize)
	s := create(t, disk, storage.CreateOptions{})
	fillForVerify(t, s.MountPoint())
	unix.Sync()
	layout, err := integrity.Plan(verifySize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	deep := filepath.Join(s.MountPoint(), "b/c/d/deep")
	inDeep, inode := blockOf(t, deep, 0), inodeOf(t, deep)
	unmountStore(t, s)
	storagetest.DropBuffers(t)
	storagetest.FlipBit(t, disk, int64(layout.DataSector(inDeep*8))*512+77)
	mountStore(t, s)

	ctx, cancel := context.WithCancel(t.Context())
	var mover errgroup.Group
	mover.Go(func() error {
		from, to := deep, filepath.Join(s.MountPoint(), "a/elsewhere")
		for ; ctx.Err() == nil; from, to = to, from {
			if err := os.Rename(from, to); err != nil {
				return err
			}
		}
		return nil
	})
	for range repeats(5, 200) {
		v, err := storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity)
		require.Len(t, v.Unreadable, 1)
		require.Equal(t, inode, v.Unreadable[0].Inode)
		require.Subset(t, []string{"/b/c/d/deep", "/a/elsewhere"}, v.Unreadable[0].Paths)
	}
	cancel()
	require.NoError(t, mover.Wait())
}

// directoryBlock returns the first block of a directory whose extents are in its
// inode, of the first group.
func directoryBlock(t *testing.T, device string, inode uint64) uint64 {
	t.Helper()
	table := descriptorOf(t, device, 8)
	b := storagetest.ReadBytes(t, device, int64(table*4096+(inode-1)*256), 256)
	return uint64(binary.LittleEndian.Uint32(b[0x28+12+8:]))
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	return st.Ino
}

// Metadata that says what is in use: what can be looked at is, and it is said that
// this is not all.
func TestVerifyWithoutItsMetadata(t *testing.T) {
	kernel(t)
	faulty := storagetest.NewFaulty(t, storagetest.Disk(t, verifySize))
	s := create(t, faulty.Path(), storage.CreateOptions{})
	fillForVerify(t, s.MountPoint())
	layout, err := integrity.Plan(verifySize/512, superblockOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	unmountStore(t, s)
	defer func() {
		faulty.Set(t)
		mountStore(t, s)
	}()
	at := func(block uint64) int64 { return int64(layout.DataSector(block*8)) * 512 }

	bitmap := descriptorOf(t, s.Path(), 0)
	faulty.Set(t, storagetest.Fault{Offset: at(bitmap), Length: 4096})
	v, err := storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
	require.ErrorIs(t, err, storage.ErrIntegrity)
	require.Equal(t, []storage.Unreadable{{Sector: bitmap * 8, Sectors: 8, Cause: storage.DeviceFailed, Holds: mkfs.ContentBlockBitmap}}, v.Unreadable)
	require.False(t, v.Complete)

	for block, what := range []string{"superblock", "group descriptors"} {
		faulty.Set(t, storagetest.Fault{Offset: at(uint64(block)), Length: 4096})
		_, err = storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity)
		require.ErrorContains(t, err, what)
	}
}

// descriptorOf reads a block number out of the first group's descriptor.
func descriptorOf(t *testing.T, device string, at int64) uint64 {
	t.Helper()
	return uint64(binary.LittleEndian.Uint32(storagetest.ReadBytes(t, device, 4096+at, 4)))
}

// A mapping without a filesystem that is known: every block, if the caller says so.
func TestVerifyAll(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, numberedSize)
	n := newNumbered(t, disk)
	_, err := storage.Verify(t.Context(), n.Name(), storage.VerifyOptions{})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, "it is not known which blocks were written")

	all := storage.VerifyOptions{Scope: storage.VerifyAll}
	require.Equal(t, n.blocks()*4096, verify(t, n.Store, all).Bytes)
	storagetest.FlipBit(t, disk, n.data(5))
	storagetest.FlipBit(t, disk, n.data(6))
	storagetest.DropBuffers(t)
	v, err := storage.Verify(t.Context(), n.Name(), all)
	require.ErrorIs(t, err, storage.ErrIntegrity)
	require.Equal(t, []storage.Unreadable{{Sector: 40, Sectors: 16, Cause: storage.Unauthentic}}, v.Unreadable)

	ctx, cancel := context.WithCancel(t.Context())
	all.Progress = func(storage.Progress) { cancel() }
	_, err = storage.Verify(ctx, n.Name(), all)
	require.ErrorIs(t, err, context.Canceled)
	_, err = storage.Verify(t.Context(), "nobody", all)
	require.ErrorIs(t, err, storage.ErrNotFound)
}

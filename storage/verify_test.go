package storage_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const verifySize = 64 * mib

// fillForVerify leaves all kinds of blocks that were never written: freed ones,
// reserved ones, and what was reserved in part.
func fillForVerify(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"a/one", "a/two", "a/removed", "b/three"} {
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
	one, two, three := inStore("a/one"), inStore("a/two"), inStore("b/three")
	flip := func(block uint64) storage.Unreadable {
		storagetest.FlipBit(t, disk, int64(layout.DataSector(block*8))*512+77)
		return storage.Unreadable{Sector: block * 8, Sectors: 8, Cause: storage.Unauthentic}
	}
	inOne, inThree, inTwo := blockOf(t, one, 2), blockOf(t, three, 1), blockOf(t, two, 0)
	inodes := []uint64{inodeOf(t, one), inodeOf(t, three)}
	require.NoError(t, os.Remove(two))
	unmountStore(t, s)
	storagetest.DropBuffers(t) // or what the kernel has yet to write hides what is changed

	inFile := flip(inOne)
	inFile.Inode = inodes[0]
	storagetest.FlipBit(t, disk, int64(layout.TagPosition(inThree*8)))
	inTag := storage.Unreadable{Sector: inThree * 8, Sectors: 8, Cause: storage.Unauthentic, Inode: inodes[1]}
	flip(inTwo)                                       // of no use to anybody
	table := flip(descriptorOf(t, s.Path(), 8) + 100) // of inodes that nobody uses yet
	storagetest.DropBuffers(t)

	for _, mounted := range []bool{false, true} {
		if mounted {
			mountStore(t, s)
		}
		v, err := storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity)
		require.ErrorContains(t, err, "3 blocks of 4096 bytes cannot be read")
		require.ElementsMatch(t, []storage.Unreadable{table, inFile, inTag}, v.Unreadable)
		require.Equal(t, uint64(3*4096), v.UnreadableBytes)
		require.True(t, v.Complete)
	}
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
	require.Equal(t, []storage.Unreadable{{Sector: bitmap * 8, Sectors: 8, Cause: storage.DeviceFailed}}, v.Unreadable)
	require.False(t, v.Complete)

	for _, block := range []uint64{0, 1} {
		faulty.Set(t, storagetest.Fault{Offset: at(block), Length: 4096})
		_, err = storage.Verify(t.Context(), s.Name(), storage.VerifyOptions{})
		require.ErrorIs(t, err, storage.ErrIntegrity, "superblock or descriptors")
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

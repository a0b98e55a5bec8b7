package storage

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const raceSize = 24 << 20

// raceVolume makes a persistent volume and returns its key and where it will be
// mounted.
func raceVolume(t *testing.T, disk string) (*Key, OpenOptions) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mount")
	key, err := NewKey([]byte("a key of no less than thirty-two bytes"))
	require.NoError(t, err)
	t.Cleanup(key.Wipe)
	s, err := Create(t.Context(), disk, CreateOptions{Key: key, MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("contents"), 0o600))
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(dir))
	return key, OpenOptions{Name: "raced", MountPoint: dir}
}

// after runs attack once, when the step is done.
func after(step string, attack func()) func(string) error {
	return func(done string) error {
		if done == step {
			attack()
		}
		return nil
	}
}

// What was judged is not what the next read finds.
func TestDeviceChangesAfterItWasJudged(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	image := storagetest.SparseFile(t, raceSize)
	disk := storagetest.Attach(t, image, storagetest.DiskOptions{})
	key, opts := raceVolume(t, disk)
	good := storagetest.TakeSnapshot(t, disk, 0, 0)
	for name, attack := range map[string]struct {
		after string
		do    func()
		want  error // nil: Open works, since nothing that was changed is used
	}{
		"header replaced by zeros":  {"read header", func() { storagetest.WriteBytes(t, disk, 0, make([]byte, 1<<20)) }, nil},
		"superblock zeroed":         {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20, make([]byte, 4096)) }, ErrHeaderRejected},
		"superblock provides less":  {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20+16, []byte{8, 0, 0}) }, ErrHeaderRejected},
		"superblock recalculates":   {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20+24, []byte{10}) }, ErrHeaderRejected},
		"device shrinks":            {"check integrity superblock", func() { resize(t, image, disk, raceSize-1<<20) }, ErrIntegrity},
		"device grows":              {"check integrity superblock", func() { resize(t, image, disk, raceSize+1<<20) }, ErrIntegrity},
		"device shrinks before":     {"unlock", func() { resize(t, image, disk, raceSize-1<<20) }, ErrHeaderRejected},
		"device grows before":       {"unlock", func() { resize(t, image, disk, raceSize+1<<20) }, ErrHeaderRejected},
		"device is empty suddenly":  {"check integrity superblock", func() { resize(t, image, disk, 0) }, ErrIntegrity},
		"device is empty even then": {"unlock", func() { resize(t, image, disk, 0) }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			defer good.Replay(t)
			defer resize(t, image, disk, raceSize)
			opts := opts
			opts.failAfter = after(attack.after, attack.do)
			s, err := Open(t.Context(), disk, key, opts)
			if attack.want == nil {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				require.NoError(t, os.Remove(opts.MountPoint))
				return
			}
			require.ErrorIs(t, err, attack.want)
			checkNothingLeft(t, opts.MountPoint)
		})
	}
}

func resize(t *testing.T, image, disk string, size int64) {
	t.Helper()
	require.NoError(t, os.Truncate(image, size))
	f, err := os.Open(disk)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_CAPACITY, 0))
}

// The host answers the kernel's read of the superblock differently from ours,
// which came a moment before. A slow disk makes the moment long enough to hit:
// the mapping is made, then we read for one delay, then the kernel for another.
//
// Either Open fails and takes everything away again, or the kernel does not
// believe what it read: it computes the size anew and writes it, and it ends a
// bitmap mode that nobody asked for. Then all is as it was judged.
func TestKernelIsAnsweredDifferently(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity", "delay")
	for name, attack := range map[string]struct {
		edit    func(b []byte)
		refused string // empty: put right by the kernel
	}{
		"one block less":    {provided(-8), ""},
		"many blocks more":  {provided(1 << 20), ""},
		"dirty bitmap":      {func(b []byte) { b[24] |= 4 }, ""},
		"recalculating":     {func(b []byte) { b[24] |= 2 }, "refused by the kernel"},
		"padding not fixed": {func(b []byte) { b[24] = 0 }, "the kernel's integrity mapping is not the one asked for"},
		"longer journal":    {func(b []byte) { b[12]++ }, "refused by the kernel"},
		"no magic":          {func(b []byte) { b[0] = 0 }, "refused by the kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.CheckLeaks(t)
			disk := storagetest.Disk(t, raceSize)
			key, opts := raceVolume(t, disk)
			good := storagetest.ReadBlock(t, disk, superblockBlock)
			s, err := openRaced(t, disk, key, opts, attack.edit)
			if attack.refused != "" {
				require.ErrorContains(t, err, attack.refused)
				_, err = StatusOf(t.Context(), opts.Name)
				require.ErrorIs(t, err, ErrNotFound)
				require.NoDirExists(t, opts.MountPoint)
				return
			}
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(opts.MountPoint, "f"))
			status, statusErr := s.Status(t.Context())
			require.NoError(t, errors.Join(err, statusErr, s.Close()))
			require.Equal(t, "contents", string(got))
			require.Empty(t, status.Problems)
			require.Equal(t, good, storagetest.ReadBlock(t, disk, superblockBlock))
		})
	}
}

const superblockBlock = (16 << 20) / storagetest.BlockSize

func provided(add int64) func(b []byte) {
	return func(b []byte) {
		binary.LittleEndian.PutUint64(b[16:], uint64(int64(binary.LittleEndian.Uint64(b[16:]))+add))
	}
}

// openRaced opens the volume while the host edits the superblock during the
// kernel's read.
func openRaced(t *testing.T, disk string, key *Key, opts OpenOptions, edit func(b []byte)) (*Store, error) {
	const delay = 200 * time.Millisecond
	slow := storagetest.NewFaulty(t, disk)
	slow.Set(t, storagetest.Fault{Offset: 16 << 20, Length: 4096, Kind: storagetest.Slow, Delay: delay})
	block := storagetest.ReadBlock(t, disk, superblockBlock)
	edit(block)
	var host sync.WaitGroup
	host.Go(func() {
		waitForMapping(t, opts.Name+integritySuffix)
		time.Sleep(delay + delay/2)
		storagetest.WriteBlock(t, disk, superblockBlock, block)
		slow.Set(t)
	})
	defer host.Wait()
	return Open(t.Context(), slow.Path(), key, opts)
}

func waitForMapping(t *testing.T, name string) {
	control, err := dm.Open()
	if err != nil {
		t.Error(err)
		return
	}
	defer control.Close()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := control.Info(name); !errors.Is(err, dm.ErrNotFound) {
			return
		}
	}
	t.Errorf("mapping %s was never made", name)
}

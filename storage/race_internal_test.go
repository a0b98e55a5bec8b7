package storage

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const raceSize = 24 << 20

// raceVolume makes a persistent volume and returns its key and where it will be
// mounted.
func raceVolume(t *testing.T, disk string) (*Key, OpenOptions) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mount")
	key, err := NewKey([]byte("a key of no less than thirty-two bytes\xff"))
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
		"superblock zeroed":         {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20, make([]byte, 4096)) }, nil},
		"superblock provides less":  {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20+16, []byte{8, 0, 0}) }, nil},
		"superblock recalculates":   {"check integrity superblock", func() { storagetest.WriteBytes(t, disk, 16<<20+24, []byte{10}) }, nil},
		"superblock zeroed before":  {"unlock", func() { storagetest.WriteBytes(t, disk, 16<<20, make([]byte, 4096)) }, ErrHeaderRejected},
		"device shrinks":            {"check integrity superblock", func() { resize(t, image, disk, raceSize-1<<20) }, ErrIntegrity},
		"device grows":              {"check integrity superblock", func() { resize(t, image, disk, raceSize+1<<20) }, ErrIntegrity},
		"device shrinks before":     {"unlock", func() { resize(t, image, disk, raceSize-1<<20) }, ErrHeaderRejected},
		"device grows before":       {"unlock", func() { resize(t, image, disk, raceSize+1<<20) }, nil}, // and is taken whole
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

// The host answers every read of the superblock after ours differently: all is as
// it was judged, for the kernel does not read it there.
func TestKernelIsAnsweredDifferently(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity", "flakey")
	storagetest.CheckLeaks(t)
	disk, other := storagetest.Disk(t, raceSize), storagetest.Disk(t, raceSize)
	host := storagetest.NewFaulty(t, disk)
	key, opts := raceVolume(t, host.Path())
	good := storagetest.ReadBlock(t, disk, superblockBlock)
	for name, edit := range map[string]func(b []byte){
		"one block less":    provided(-8),
		"many blocks more":  provided(1 << 20),
		"dirty bitmap":      func(b []byte) { b[24] |= 4 },
		"recalculating":     func(b []byte) { b[24] |= 2 },
		"padding not fixed": func(b []byte) { b[24] = 0 },
		"longer journal":    func(b []byte) { b[12]++ },
		"no magic":          func(b []byte) { b[0] = 0 },
		"nothing":           func(b []byte) { clear(b) },
	} {
		t.Run(name, func(t *testing.T) {
			defer host.Set(t)
			answer := slices.Clone(good)
			edit(answer)
			storagetest.WriteBlock(t, other, superblockBlock, answer)
			opts := opts
			opts.failAfter = after("check integrity superblock", func() {
				host.Set(t, storagetest.Fault{Offset: 16 << 20, Length: 4096, Kind: storagetest.Forged, With: other})
			})
			s, err := Open(t.Context(), host.Path(), key, opts)
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(opts.MountPoint, "f"))
			status, statusErr := s.Status(t.Context())
			require.NoError(t, errors.Join(err, statusErr, s.Close(), os.Remove(opts.MountPoint)))
			require.Equal(t, "contents", string(got))
			require.Empty(t, status.Problems)
			require.Equal(t, good, storagetest.ReadBlock(t, disk, superblockBlock), "nothing was written either")
		})
	}
}

const superblockBlock = (16 << 20) / storagetest.BlockSize

func provided(add int64) func(b []byte) {
	return func(b []byte) {
		binary.LittleEndian.PutUint64(b[16:], uint64(int64(binary.LittleEndian.Uint64(b[16:]))+add))
	}
}

package storage_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// What cannot be with swap is refused before anything is looked at.
func TestSwapRefused(t *testing.T) {
	key := newKey(t, longKey)
	swap := &storage.SwapOptions{}
	for want, opts := range map[string]storage.CreateOptions{
		"with a key":            {Swap: swap, Key: key},
		"no filesystem that":    {Swap: swap, MountPoint: "/mnt"},
		"no filesystem, and":    {Swap: swap, Filesystem: storage.FilesystemOptions{InodeSize: 128}},
		"has all of its device": {Swap: swap, Grow: storage.GrowAsUsed},
		"in memory":             {Swap: swap, Tags: storage.TagOptions{Place: storage.TagsInMemory}},
		"priority 32768":        {Swap: &storage.SwapOptions{Priority: 32768}},
		"longer than 15 bytes":  {Swap: &storage.SwapOptions{Label: "sixteen  letters"}},
	} {
		_, err := storage.Create(t.Context(), "/dev/null", opts)
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}

// A store is swap from Create to Close, and says so; one that cannot be closed is swap
// still.
func TestSwap(t *testing.T) {
	kernel(t)
	for _, integrity := range []storage.Integrity{storage.HMACSHA256, storage.NoIntegrity} {
		disk := storagetest.Disk(t, 64*mib)
		s, err := storage.Create(t.Context(), disk, storage.CreateOptions{
			Integrity: integrity, Swap: &storage.SwapOptions{Priority: 7, Label: "scratch"},
		})
		require.NoError(t, err)
		live, err := s.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, storage.StateSwap, live.State)
		page := uint64(os.Getpagesize())
		require.Equal(t, &storage.SwapUse{Bytes: (live.Sectors*512/page - 1) * page, Priority: 7}, live.Swap)
		require.Empty(t, live.Problems)
		_, err = storage.MountLive(t.Context(), s.Name(), storage.MountOptions{MountPoint: t.TempDir()})
		require.ErrorIs(t, err, storage.ErrBusy)
		_, err = storage.Create(t.Context(), storagetest.Disk(t, 64*mib), storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory}})
		require.ErrorIs(t, err, storage.ErrNotSupported, "tags would be written to it")

		if integrity == storage.NoIntegrity { // once: a busy mapping is waited for
			requireSwapStays(t, s, live)
		}
		require.NoError(t, storage.Close(t.Context(), s.Name()))
		swaps, err := os.ReadFile("/proc/swaps")
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(swaps), "\n"), "%s", swaps)
	}
	_, err := storage.Create(t.Context(), storagetest.Disk(t, 16*mib+32<<10), storage.CreateOptions{
		Integrity: storage.NoIntegrity, Swap: &storage.SwapOptions{},
	})
	require.ErrorIs(t, err, storage.ErrUnsuitable)
	inMemory := create(t, storagetest.Disk(t, 64*mib), storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory}})
	_, err = storage.Create(t.Context(), storagetest.Disk(t, 64*mib), storage.CreateOptions{Swap: &storage.SwapOptions{}})
	require.ErrorIs(t, err, storage.ErrBusy)
	require.ErrorContains(t, err, "the tags of "+inMemory.Name()+" are in memory")
}

// requireSwapStays has a Close fail, after it had ended the use as swap.
func requireSwapStays(t *testing.T, s *storage.Store, before *storage.Status) {
	t.Helper()
	user, err := os.Open(s.Path())
	require.NoError(t, err)
	require.ErrorIs(t, s.Close(), storage.ErrBusy)
	after, err := s.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, storage.StateSwap, after.State)
	require.Equal(t, before.Swap, after.Swap)
	require.NoError(t, user.Close())
}

const (
	swapMemory  = 24 * mib // of the user's cgroup
	swapDisk    = 64 * mib
	swapUserHas = 44 * mib // of memory, as the user believes
	swapMarker  = "in this guest's memory alone: 5ece7"
)

// TestSwapUser is the process that has more memory than there is.
func TestSwapUser(t *testing.T) {
	if os.Getenv("TRUSTED_STORE_SWAP_USER") == "" {
		t.Skip("is started by TestSwapUnderPressure")
	}
	in := bufio.NewReader(os.Stdin)
	say(in, "started")
	memory, err := unix.Mmap(-1, 0, swapUserHas, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	page := func(n int) []byte {
		return append(binary.LittleEndian.AppendUint64([]byte(swapMarker), uint64(n)), bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 2000)...)
	}
	for n := range swapUserHas / 4096 {
		copy(memory[n*4096:(n+1)*4096], page(n))
	}
	say(in, "written")
	for n := range swapUserHas / 4096 {
		want := page(n)
		require.True(t, bytes.Equal(want, memory[n*4096:][:len(want)]), "page %d", n)
	}
	say(in, "read")
}

// A process that has more memory than it may use reads what it wrote; the host
// sees none of it. After the host changed what is there the process ends, and reads
// nothing wrong.
func TestSwapUnderPressure(t *testing.T) {
	kernel(t)
	disks := filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS"))
	require.NotEmpty(t, disks, "memory that is swapped to a file in memory saves none: go tool guest -disk 56G")
	part := storagetest.NewFaulty(t, disks[0])
	part.SetSize(t, swapDisk) // which is looked through: the kernel begins anywhere
	disk := part.Path()
	s, err := storage.Create(t.Context(), disk, storage.CreateOptions{Swap: &storage.SwapOptions{}, Overwrite: storage.OverwriteAnything})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	group := smallGroup(t)
	for _, damaged := range []bool{false, true} {
		u := startSwapUser(t, group)
		u.expect(t, "written")
		live, err := s.Status(t.Context())
		require.NoError(t, err)
		require.Greater(t, live.Swap.UsedBytes, uint64(swapUserHas-swapMemory-mib))
		unix.Sync()
		seen := storagetest.ReadBytes(t, disk, 0, swapDisk)
		require.False(t, bytes.Contains(seen, []byte(swapMarker)))
		require.Greater(t, len(seen)-bytes.Count(seen, []byte{0}), (swapUserHas-swapMemory)/2, "it is there")
		if damaged {
			log := storagetest.KernelLog(t)
			storagetest.WriteBytes(t, disk, 17*mib, make([]byte, swapDisk-17*mib))
			u.proceed(t)
			rest, err := io.ReadAll(u.out)
			require.NoError(t, err)
			require.NotContains(t, string(rest), "\nread\n")
			require.Error(t, u.Wait())
			require.NotEmpty(t, log.Matching(t, "INTEGRITY AEAD ERROR"))
			continue
		}
		u.proceed(t)
		u.expect(t, "read")
		u.proceed(t)
		_, err = io.ReadAll(u.out)
		require.NoError(t, err)
		require.NoError(t, u.Wait())
	}
}

// smallGroup makes a cgroup whose processes have little memory, and swap.
func smallGroup(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, unix.Mount("none", root, "cgroup2", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(root, 0)) })
	require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0))
	group := filepath.Join(root, "small")
	require.NoError(t, os.Mkdir(group, 0o755))
	t.Cleanup(func() { require.NoError(t, os.Remove(group)) })
	require.NoError(t, os.WriteFile(filepath.Join(group, "memory.max"), []byte(strconv.Itoa(swapMemory)), 0))
	return group
}

type swapUser struct {
	*exec.Cmd
	holder
}

func startSwapUser(t *testing.T, group string) *swapUser {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSwapUser$", "-test.v")
	cmd.Env = append(os.Environ(), "TRUSTED_STORE_SWAP_USER=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	u := &swapUser{cmd, holder{cmd.Process.Pid, in, bufio.NewReader(out)}}
	u.expect(t, "started")
	require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(u.pid)), 0))
	u.proceed(t)
	return u
}

package storage_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// queued reports whether dm-crypt spreads the encryption of a store's writes over
// all CPUs.
func queued(t *testing.T, s *storage.Store) bool {
	t.Helper()
	control, err := dm.Open()
	require.NoError(t, err)
	table, err := control.Table(s.Name())
	require.NoError(t, errors.Join(err, control.Close()))
	require.Len(t, table, 1)
	target, ok := table[0].Target.(dm.Crypt)
	require.True(t, ok, "%v", table)
	return !target.Speed.NoWriteWorkqueue
}

// volumeKeys returns the lines of /proc/keys about keys of volumes that are not
// revoked.
func volumeKeys(t *testing.T) (keys []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/keys")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.Contains(line, "cryptsetup:") && !strings.Contains(f[1], "R") {
			keys = append(keys, line)
		}
	}
	return keys
}

func severalCPUs(t *testing.T) {
	t.Helper()
	if runtime.NumCPU() < 2 {
		t.Skip("needs several CPUs: go tool guest -bed qemu -cpus 4")
	}
}

// While a store grows, whoever writes encrypts; when it has its full size all CPUs
// do. Nothing that is written while the one becomes the other is lost, and no
// key stays where the next load of a table would find it.
func TestWriteQueueCPUs(t *testing.T) {
	kernel(t)
	severalCPUs(t)
	key := newKey(t, longKey)
	for name, opts := range map[string]storage.CreateOptions{
		"ephemeral": {}, "key": {Key: key}, "no integrity": {Key: key, Integrity: storage.NoIntegrity}, "aegis128": {Key: key, Cipher: storage.AEGIS128},
	} {
		t.Run(name, func(t *testing.T) {
			log := storagetest.KernelLog(t)
			disk := storagetest.Disk(t, 1536*mib)
			opts.Grow = storage.GrowLater
			s := create(t, disk, opts)
			require.False(t, queued(t, s), "before it has grown")
			w := &writer{s.MountPoint(), map[string]contents{}}
			writing := make(chan error, 1)
			go func() { writing <- w.run(t.Context(), 24*mib) }()
			require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{Size: gib}))
			require.False(t, queued(t, s), "while it grows")
			require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{}))
			require.True(t, queued(t, s), "at its full size")
			require.Empty(t, volumeKeys(t))
			require.NoError(t, <-writing)
			w.verify(t)
			status, err := s.Status(t.Context())
			require.NoError(t, err)
			require.Empty(t, status.Problems)
			requireNoErrors(t, log)
			requireClean(t, s)
			require.NoError(t, s.Close())
			if opts.Key == nil {
				return
			}
			s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: s.MountPoint(), Integrity: opts.Integrity, Cipher: opts.Cipher})
			require.NoError(t, err)
			require.NoError(t, s.Grown(t.Context()))
			require.True(t, queued(t, s), "opened at its full size")
			require.NoError(t, s.Close())
			require.Empty(t, volumeKeys(t))
		})
	}
}

// A store that nobody grows has the queue from the beginning; one with its tags in
// memory, which grows as it fills, when it has its full size.
func TestWriteQueueOfOtherStoresCPUs(t *testing.T) {
	kernel(t)
	severalCPUs(t)
	s := create(t, storagetest.Disk(t, gib), storage.CreateOptions{MountPoint: storage.NoMount})
	require.True(t, queued(t, s))
	require.Empty(t, volumeKeys(t))
	s = create(t, storagetest.Disk(t, gib), storage.CreateOptions{Tags: storage.TagOptions{Place: storage.TagsInMemory}})
	require.False(t, queued(t, s))
	require.NoError(t, storage.Grow(t.Context(), s.Name(), storage.GrowOptions{Follow: true}))
	require.True(t, queued(t, s))
	require.Empty(t, volumeKeys(t))
	s = create(t, storagetest.Disk(t, 1536*mib), storage.CreateOptions{Grow: storage.GrowLater})
	require.NotEmpty(t, volumeKeys(t))
	require.NoError(t, s.Close())
	require.Empty(t, volumeKeys(t))
}

// The key goes to the process that grows the store, and ends with it. A process
// that was not given it grows the store all the same.
func TestWriteQueueOfAProcessCPUs(t *testing.T) {
	kernel(t)
	severalCPUs(t)
	for _, given := range []bool{true, false} {
		s := create(t, storagetest.Disk(t, 1536*mib), storage.CreateOptions{Grow: storage.GrowLater})
		child := exec.Command(os.Args[0], "-test.run=^TestGrowChild$")
		child.Env = append(os.Environ(), "GROW_CHILD="+s.Name())
		start := child.Start
		if given {
			start = func() error {
				return s.StartGrower(func(env []string) error {
					child.Env = append(child.Env, env...)
					return child.Start()
				})
			}
		}
		require.NoError(t, start())
		require.NoError(t, child.Wait())
		require.True(t, growthOf(t, s).Full())
		require.Equal(t, given, queued(t, s))
		require.NoError(t, s.Close())
		require.Eventually(t, func() bool { return len(volumeKeys(t)) == 0 }, time.Minute, 10*time.Millisecond)
	}
}

// The key of a store that somebody else took away does not stay.
func TestLentKeyGoesWithTheMappingCPUs(t *testing.T) {
	kernel(t)
	severalCPUs(t)
	s := create(t, storagetest.Disk(t, 1536*mib), storage.CreateOptions{Grow: storage.GrowLater})
	require.NotEmpty(t, volumeKeys(t))
	require.NoError(t, unix.Unmount(s.MountPoint(), 0))
	for _, name := range []string{s.Name(), s.Name() + "_dif"} {
		tool(t, "dmsetup", "remove", "--noudevrules", "--noudevsync", name)
	}
	require.Eventually(t, func() bool { return len(volumeKeys(t)) == 0 }, time.Minute, 10*time.Millisecond)
}

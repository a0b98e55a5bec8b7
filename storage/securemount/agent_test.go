package securemount

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The agent's request for the image store, and what the agent's tests look for.
func TestImageStore(t *testing.T) {
	s := serve(t, Options{})
	log := storagetest.KernelLog(t)
	const size = 2500 * mib
	live := s.do(t, request(t, storagetest.Disk(t, size), ImageStore))
	require.Equal(t, strings.TrimSuffix(ImageStore, "/"), live.Mounts[0].Dir)
	require.Equal(t, "rw,nosuid,nodev,noatime", live.Mounts[0].Options)
	require.True(t, live.Growth.Full(), "less than 4 GiB: full when it is answered")
	requireSize(t, ImageStore, size)
	require.Regexp(t, `^encrypted_disk_[A-Z0-9]{5}$`, live.Name)
	require.Regexp(t, `(?s)is active and is in use.*cipher: +aes-xts-plain64.*integrity: hmac\(sha256\)`,
		tool(t, "cryptsetup", "status", live.Name))
	require.Equal(t, "direct", live.Journal, "no journal, as is meant for what dies with the guest")
	require.Empty(t, log.Matching(t, "AEAD ERROR"))

	got, err := s.stores.Status(t.Context(), &stores.StatusRequest{Store: ImageStore})
	require.NoError(t, err)
	require.Equal(t, live.UUID, got.Store.Uuid)
	require.Equal(t, "mounted", got.Store.State)
	require.Equal(t, uint64(size), got.Store.DeviceBytes)
	require.Equal(t, live.Growth.Target, got.Store.Filesystem.FullBytes)
	require.Equal(t, []string{"confidentiality", "integrity"}, got.Store.Promises)
}

// requireSize checks what df shows.
func requireSize(t *testing.T, dir string, device uint64) {
	t.Helper()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	require.Equal(t, int64(unix.EXT4_SUPER_MAGIC), st.Type)
	require.GreaterOrEqual(t, float64(st.Blocks)*float64(st.Frsize), 0.96*float64(device), "size")
	require.GreaterOrEqual(t, float64(st.Bavail)*float64(st.Frsize), 0.90*float64(device), "available")
}

// The agent's request for an encrypted emptyDir.
func TestEncryptedEmptyDir(t *testing.T) {
	s := serve(t, Options{})
	for _, integrity := range []string{"true", "false"} {
		const size = 1 * gib
		disk := storagetest.Disk(t, size)
		dir := "/run/kata-containers/sandbox/storage/" + base64.URLEncoding.EncodeToString([]byte(disk))
		live := s.do(t, request(t, disk, dir, "dataIntegrity", integrity, "mkfsOpts", "-O ^has_journal -m 0 -i 163840 -I 128"))
		require.Equal(t, integrity == "true", live.Integrity == "hmac(sha256)")
		requireSize(t, dir, size)
		require.NoError(t, unix.Unmount(dir, 0))
		header := tool(t, "dumpe2fs", "-h", live.Path)
		require.NotContains(t, header, "has_journal")
		require.Regexp(t, `Inode size:\s+128\n`, header)
		require.Regexp(t, `Reserved block count:\s+0\n`, header)
		require.InDelta(t, float64(live.Growth.Target/163840), float64(live.Filesystem.Inodes), 1024)
		storagetest.CheckFilesystem(t, live.Path)
		s.unmountStore(t, live.DeviceNumber)
	}
}

// A device as large as the host's whole filesystem: the agent gives up after 50 s.
func TestHugeDevice(t *testing.T) {
	s := serve(t, Options{})
	for _, size := range []int64{100 * gib, 29 * tib / 10 / 4096 * 4096} {
		for _, mkfs := range []string{"-E lazy_journal_init", "-O ^has_journal -m 0 -i 163840 -I 128"} {
			dir, file := newDir(t), storagetest.SparseFile(t, size)
			req := request(t, storagetest.Attach(t, file, storagetest.DiskOptions{}), dir, "mkfsOpts", mkfs)
			began := time.Now()
			live := s.do(t, req)
			t.Logf("%s: usable after %v, with %d MiB", mkfs, time.Since(began).Round(time.Millisecond), live.Growth.Bytes/mib)
			require.Less(t, time.Since(began), 50*time.Second)
			writeFile(t, filepath.Join(dir, "f"), "usable")
			s.restart(t)
			most := int64(4_000_000)
			if size > tib && mkfs == "-E lazy_journal_init" { // an inode for each MiB, 2000 of them
				most = 16_000_000
			}
			requireHostBytes(t, file, most)

			_, err := s.stores.Grow(t.Context(), &stores.GrowRequest{Store: dir, Bytes: live.Growth.Bytes + gib})
			require.NoError(t, err, "who wants more at once gets it")
			health, err := s.stores.Health(t.Context(), &stores.HealthRequest{})
			require.NoError(t, err)
			require.Equal(t, uint32(1), health.Growing, "and it goes on as it fills")
			s.unmountStore(t, dir)
		}
	}
}

// requireHostBytes watches what of a sparse file the host has had to store.
func requireHostBytes(t *testing.T, file string, most int64) {
	t.Helper()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		unix.Sync()
		var st unix.Stat_t
		require.NoError(t, unix.Stat(file, &st))
		require.LessOrEqual(t, st.Blocks*512, most)
	}
}

// The reply waits for the size that was promised, and the rest grows behind it,
// also after a restart of the service.
func TestGrowsBehindTheReply(t *testing.T) {
	const size, promised = 12 * gib, 2 * gib
	s := serve(t, Options{MinSize: promised, GrowFull: true})
	dir := newDir(t)
	live := s.do(t, request(t, storagetest.Disk(t, size), dir))
	require.GreaterOrEqual(t, live.Growth.Bytes, uint64(promised))
	require.False(t, live.Growth.Full(), "the premise")
	health, err := s.stores.Health(t.Context(), &stores.HealthRequest{})
	require.NoError(t, err)
	require.Equal(t, uint32(1), health.Growing)

	s.restart(t)
	health, err = s.stores.Health(t.Context(), &stores.HealthRequest{})
	require.NoError(t, err)
	require.Equal(t, uint32(1), health.Growing, "it goes on")
	grown, err := s.stores.Grow(t.Context(), &stores.GrowRequest{Store: dir, Bytes: 4 * gib})
	require.NoError(t, err)
	require.GreaterOrEqual(t, grown.Store.Filesystem.GrownBytes, uint64(4*gib))
	require.Eventually(t, func() bool {
		list, err := s.stores.List(t.Context(), &stores.ListRequest{})
		require.NoError(t, err)
		require.Len(t, list.Stores, 1)
		f := list.Stores[0].Filesystem
		return f.GrownBytes == f.FullBytes
	}, time.Minute, 50*time.Millisecond, "nobody asks for it: the service grows it")
	requireSize(t, dir, size)
	_, err = s.stores.Grow(t.Context(), &stores.GrowRequest{Store: live.Name})
	require.NoError(t, err)
}

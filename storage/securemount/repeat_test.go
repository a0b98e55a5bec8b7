package securemount

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func writeKey(t *testing.T, key string) (source string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, key)
	return "file://" + path
}

// The same request again, also of a service that was started anew, finds the store
// and formats nothing. Another request says how it differs.
func TestSameRequestAgain(t *testing.T) {
	s := serve(t, Options{})
	disk, other, dir := storagetest.Disk(t, small), storagetest.Disk(t, small), newDir(t)
	mine, others := writeKey(t, longKey), writeKey(t, longKey+"!")
	const xts, aegis = "aes-xts-plain64", "aegis128"
	for _, c := range []struct{ integrity, key, cipher string }{
		{"true", "-", xts}, {"false", "-", xts}, {"true", mine, xts}, {"false", mine, xts}, {"true", "-", aegis}, {"true", mine, aegis},
	} {
		t.Run(c.integrity+","+c.key[:1]+","+c.cipher, func(t *testing.T) {
			req := func(options ...string) *cdh.SecureMountRequest {
				return request(t, disk, dir, append([]string{"dataIntegrity", c.integrity, "key", c.key, "cipher", c.cipher}, options...)...)
			}
			first := s.do(t, req())
			writeFile(t, filepath.Join(dir, "f"), "kept")
			again := func() {
				t.Helper()
				second := s.do(t, req())
				require.Equal(t, first.Name, second.Name)
				require.Equal(t, first.UUID, second.UUID)
				require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
			}
			again()
			s.restart(t)
			again()

			differ := func(req *cdh.SecureMountRequest, text string) {
				t.Helper()
				s.refused(t, req, codes.AlreadyExists, text)
			}
			swapped := map[string]string{"true": "false", "false": "true"}[c.integrity]
			differ(req("dataIntegrity", swapped, "cipher", xts), "its integrity is ")
			if c.integrity == "true" {
				differ(req("cipher", map[string]string{xts: aegis, aegis: xts}[c.cipher]), "its cipher is a")
			}
			differ(req("mapperName", "another"), "its name is not another")
			differ(req("targetType", "device"), "it is mounted at "+dir)
			differ(req("key", others), "its key is another one")
			if c.key != "-" {
				differ(req("key", "-"), "it has a key from outside")
			}
			elsewhere := req()
			elsewhere.MountPoint = newDir(t)
			differ(elsewhere, "it is mounted at "+dir)
			noexec := req()
			noexec.Flags = []string{"noexec"}
			differ(noexec, "it is mounted rw,nosuid,nodev,noatime")
			s.refused(t, request(t, other, dir), codes.Unavailable, "mounted there already")

			again()
			// Unmounted by somebody: it comes back as it was.
			require.NoError(t, unix.Unmount(dir, 0))
			again()
			s.unmountStore(t, dir)
		})
	}
}

// A second device, a second time, and unmounting by every name that a store has.
func TestUnmount(t *testing.T) {
	s := serve(t, Options{})
	for _, name := range []func(*storage.Status) string{
		func(live *storage.Status) string { return live.Name },
		func(live *storage.Status) string { return live.Path },
		func(live *storage.Status) string { return live.DeviceNumber },
		func(live *storage.Status) string { return live.Device },
		func(live *storage.Status) string { return live.Mounts[0].Dir + "/" },
	} {
		first := s.do(t, request(t, storagetest.Disk(t, small), newDir(t)))
		second := s.do(t, request(t, storagetest.Disk(t, small), newDir(t)))
		s.unmountStore(t, name(first))
		s.unmountStore(t, name(first))
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, second.Name, list[0].Name)
		_, err = s.stores.Status(t.Context(), &stores.StatusRequest{Store: name(first)})
		require.Equal(t, codes.NotFound, status.Code(err))
		s.unmountStore(t, name(second))
	}
	live := s.do(t, request(t, storagetest.Disk(t, small), newDir(t)))
	f, err := os.Create(filepath.Join(live.Mounts[0].Dir, "open"))
	require.NoError(t, err)
	_, err = s.stores.Unmount(t.Context(), &stores.UnmountRequest{Store: live.Name})
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.NoError(t, f.Close())
}

// With targetType device the mount point is a link to the mapping.
func TestDeviceTarget(t *testing.T) {
	s := serve(t, Options{})
	disk, link := storagetest.Disk(t, small), filepath.Join(t.TempDir(), "new", "device")
	req := request(t, disk, link, "targetType", "device", "mapperName", "chosen", "dataIntegrity", "false")
	live := s.do(t, req)
	require.Equal(t, storage.StateMapped, live.State)
	require.Equal(t, "chosen", live.Name)
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "/dev/mapper/chosen", target)
	storagetest.WriteBytes(t, link, 0, make([]byte, 4096))

	require.Equal(t, live.UUID, s.do(t, req).UUID, "again")
	s.restart(t)
	require.Equal(t, live.UUID, s.do(t, req).UUID, "after a restart")
	require.NoError(t, os.Remove(link))
	require.Equal(t, live.UUID, s.do(t, req).UUID, "its link lost")
	s.refused(t, request(t, disk, newDir(t)), codes.AlreadyExists, "it is a device at "+link)
	s.refused(t, request(t, storagetest.Disk(t, small), link, "targetType", "device"), codes.AlreadyExists, "it is a link to /dev/mapper/chosen")
	plain := filepath.Join(t.TempDir(), "file")
	writeFile(t, plain, "mine")
	s.refused(t, request(t, storagetest.Disk(t, small), plain, "targetType", "device"), codes.InvalidArgument, "is no symbolic link")

	s.unmountStore(t, link)
	_, err = os.Lstat(link)
	require.ErrorIs(t, err, os.ErrNotExist)
	// A link that was left behind is replaced.
	require.NoError(t, os.Symlink("/dev/mapper/gone", link))
	s.unmountStore(t, s.do(t, req).Name)
}

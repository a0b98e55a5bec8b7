package securemount

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestPolicyOfKeys(t *testing.T) {
	for _, c := range []struct {
		allowed, key string
		want         bool
	}{
		{"random", "", true}, {"random", "sealed.a.b.c", false}, {"sealed", "sealed.a.b.c", true}, {"sealed", "", false},
		{"kbs:///default/key/1", "kbs:///default/key/1", true}, {"kbs:///default/key/1", "kbs:///default/key/12", false},
		{"kbs:///default/key/", "kbs:///default/key/1", true}, {"kbs:///default/key/", "kbs:///default/keys/1", false},
		{"kbs:///default/key/", "kbs+plugin:///default/key/1", false}, {"kbs+plugin:///", "kbs+plugin:///a/b", true},
		{"kbs:///default/key/", "kbs:///default/key/../../other/1", false}, {"kbs:///default/key/", "kbs:///default/key/%2e%2e/1", false},
		{"kbs:///default/key/", "kbs:///default/key/..\\..\\1", false}, {"kbs:///default/key/", "kbs:///default/key/1?x=/..", false},
		{"file:///run/keys/", "file:///run/keys/a", true}, {"file:///run/keys/", "file:///run/keys2/a", false},
	} {
		var source KeySource
		if c.key != "" {
			var err error
			source, err = ParseKeySource(c.key)
			require.NoError(t, err)
		}
		policy := Policy{Keys: []string{c.allowed}}
		require.NoError(t, policy.Check())
		err := policy.allow(&Request{Key: source}, "")
		require.Equal(t, c.want, err == nil, "%s, %s: %v", c.allowed, c.key, err)
		if err != nil {
			require.Equal(t, codes.PermissionDenied, codeOf(err))
		}
	}
}

func TestPolicyOfMountPoints(t *testing.T) {
	policy := Policy{MountPoints: []string{"/run/kata-containers", "/mnt"}}
	for path, want := range map[string]bool{
		"/run/kata-containers": true, "/run/kata-containers/image": true, "/run/kata-containers2": false, "/mnt/x/y": true, "/": false, "/etc": false,
	} {
		require.Equal(t, want, policy.allow(&Request{MountPoint: path}, "") == nil, path)
	}
	everywhere := Policy{MountPoints: []string{"/"}}
	require.NoError(t, everywhere.allow(&Request{MountPoint: "/etc"}, ""))
}

func TestPolicyIsChecked(t *testing.T) {
	for want, policy := range map[string]Policy{
		`policy: key "kbs": expected`:           {Keys: []string{"kbs"}},
		`policy: key "": expected`:              {Keys: []string{""}},
		`policy: mount point "mnt": expected`:   {MountPoints: []string{"mnt"}},
		`policy: mount point "/a/": expected`:   {MountPoints: []string{"/a/"}},
		`no device is both`:                     {MinDevice: 2, MaxDevice: 1},
		`policy: key "file:///a/../": expected`: {Keys: []string{"file:///a/../"}},
	} {
		require.ErrorContains(t, policy.Check(), want)
	}
}

// What the policy does not allow is refused with all its reasons, before a key is asked
// for and anything is touched; what it allows is as without it.
func TestPolicy(t *testing.T) {
	dir := newDir(t)
	s := serve(t, Options{Policy: Policy{
		RequireIntegrity: true, Keys: []string{"random"}, MountPoints: []string{filepath.Dir(dir)}, MinDevice: small, MaxDevice: small,
	}})
	disk, other := storagetest.Disk(t, small), storagetest.Disk(t, 2*small)
	s.refused(t, request(t, disk, dir, "dataIntegrity", "false"), codes.PermissionDenied, "integrity is required")
	s.refused(t, request(t, disk, dir, "key", "kbs:///default/key/1"), codes.PermissionDenied, "key kbs:///default/key/1: allowed are random")
	s.refused(t, request(t, disk, newDir(t)), codes.PermissionDenied, "allowed is at or below "+filepath.Dir(dir))
	s.refused(t, request(t, other, dir), codes.PermissionDenied, "has 128 MiB: allowed are 64 MiB to 64 MiB")
	all := request(t, other, newDir(t), "dataIntegrity", "false", "key", "sealed.a.b.c")
	s.refused(t, all, codes.PermissionDenied, "key a sealed secret")
	s.refused(t, all, codes.PermissionDenied, "has 128 MiB")
	gone := request(t, disk, dir)
	gone.Options["deviceId"] = "259:1048575"
	s.refused(t, gone, codes.InvalidArgument, "device 259:1048575")
	require.Equal(t, "hmac(sha256)", s.do(t, request(t, disk, dir)).Integrity)

	// What somebody made without integrity is not accepted as it is.
	s.unmountStore(t, dir)
	theirs, err := storage.Create(t.Context(), disk, storage.CreateOptions{MountPoint: dir, Integrity: storage.NoIntegrity, Overwrite: storage.OverwriteAnything})
	require.NoError(t, err)
	s.refused(t, request(t, disk, dir), codes.AlreadyExists, "its integrity is none")
	require.NoError(t, theirs.Close())
}

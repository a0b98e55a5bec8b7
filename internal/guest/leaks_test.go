package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLeftMappingsAndLoops(t *testing.T) {
	sys := t.TempDir()
	writeFile(t, sys+"/block/dm-0/dm/name", []byte("encrypted_disk_abcde_dif\n"))
	writeFile(t, sys+"/block/loop0/loop/backing_file", []byte("/tmp/a b\n"))
	require.NoError(t, os.MkdirAll(sys+"/block/loop1/queue", 0o755))
	require.Equal(t, []string{"mapping encrypted_disk_abcde_dif (dm-0)"}, leftMappings(sys))
	require.Equal(t, []string{"loop device /dev/loop0 on /tmp/a b"}, leftLoops(sys))
	require.Empty(t, leftMappings(t.TempDir()))
	require.Empty(t, leftLoops(t.TempDir()))
}

func TestLeftKeysAreThoseOfVolumes(t *testing.T) {
	keys := t.TempDir() + "/keys"
	writeFile(t, keys, []byte(`09b3b6a0 I--Q---     1 perm 3f010000     0     0 logon     cryptsetup:6b1c-d0: 96
1a2b3c4d I--Q---     2 perm 1f3f0000     0 65534 keyring   _uid.0: empty
2a2b3c4d I--Q---     2 perm 3f010000     0     0 logon     fscrypt:123: 64
3a2b3c4d I--Q---     2 perm 3f010000     0     0 user      cryptsetup:x: 32
`))
	require.Equal(t, []string{"key logon cryptsetup:6b1c-d0 (09b3b6a0)", "key user cryptsetup:x (3a2b3c4d)"}, leftKeys(keys))
	require.NotEmpty(t, leftKeys(keys+"-missing"), "what cannot be read was not checked")
}

func TestParseMounts(t *testing.T) {
	got := parseMounts([]byte(`22 1 0:21 / / rw,relatime - overlay root rw,lowerdir=/
40 22 253:1 / /run/kata-containers/image rw,nodev shared:3 master:1 - ext4 /dev/mapper/x rw
`))
	require.Equal(t, []string{
		"/ of type overlay from root (mount 22)",
		"/run/kata-containers/image of type ext4 from /dev/mapper/x (mount 40)",
	}, got)
}

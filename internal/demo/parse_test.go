package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What cryptsetup 2.6 and 2.8 print of the same store.
func TestCryptsetupStatus(t *testing.T) {
	for _, text := range []string{
		"/dev/mapper/a is active and is in use.\n  type:    LUKS2\n  sector size:  4096\n  offset:  32768 sectors\n  size:    5087232 sectors\n  mode:    read/write\n",
		"/dev/mapper/a is active and is in use.\n  type:    LUKS2\n  sector size:  4096 [bytes]\n  offset:  32768 [512-byte units] (16777216 [bytes])\n  size:    5087232 [512-byte units] (2604662784 [bytes])\n  mode:    read/write\n",
	} {
		s := cryptsetupStatus(text)
		require.Equal(t, "LUKS2", s["type"])
		require.Equal(t, "read/write", s["mode"])
		require.EqualValues(t, 4096, firstNumber(s["sector size"]))
		require.EqualValues(t, 32768, firstNumber(s["offset"]))
		require.EqualValues(t, 5087232, firstNumber(s["size"]))
		require.EqualValues(t, -1, firstNumber(s["not there"]))
	}
}

func TestChain(t *testing.T) {
	list, err := chain(`{"blockdevices": [{"name":"loop0","mountpoint":null,"children":[{"name":"a_dif","mountpoint":null,"children":[{"name":"a","mountpoint":"/m"}]}]}]}`)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, block{Name: "a", MountPoint: "/m"}, list[1])

	list, err = chain(`{"blockdevices": [{"name":"loop0","mountpoint":null}]}`)
	require.NoError(t, err)
	require.Empty(t, list)

	for _, text := range []string{"", "{}", `{"blockdevices": [{"name":"loop0","children":[{"name":"a"},{"name":"b"}]}]}`} {
		_, err := chain(text)
		require.ErrorContains(t, err, "lsblk", text)
	}
}

func TestMountedOn(t *testing.T) {
	text := "proc on /proc type proc (rw,nosuid)\n/dev/mapper/a on /m type ext4 (rw,nosuid,noatime)\n"
	m := mountedOn(text, "/m")
	require.Equal(t, "/dev/mapper/a", m.source)
	require.Equal(t, "ext4", m.kind)
	require.True(t, m.has("rw"))
	require.False(t, m.has("ro"))
	require.Empty(t, mountedOn(text, "/nowhere").source)
}

func TestDiskUsage(t *testing.T) {
	sizes, err := diskUsage("16384\t/m/lost+found\n4096\t/m/overlay\n2202009600\t/m\n")
	require.NoError(t, err)
	require.EqualValues(t, 2202009600, sizes["/m"])
	_, err = diskUsage("2.1G\t/m\n")
	require.ErrorContains(t, err, "du")
}

func TestFilesystemSpace(t *testing.T) {
	s, err := filesystemSpace("Filesystem    Type Mounted on       Used      Avail\n/dev/mapper/a ext4 /m         2202009600  365953024\n")
	require.NoError(t, err)
	require.Equal(t, space{"/dev/mapper/a", "ext4", "/m", 2202009600, 365953024}, s)
	_, err = filesystemSpace("df: no such file\n")
	require.ErrorContains(t, err, "df")
}

// procps 3 has other columns than procps 4, and called them otherwise before.
func TestParseFree(t *testing.T) {
	want := memory{2045460480, 62132224, 1983328256}
	for _, text := range []string{
		"               total        used        free      shared  buff/cache   available\nMem:      2045460480    62132224  1293000704       12288   714346496  1983328256\nSwap:              0           0           0\n",
		"               total        used        free      shared     buffers       cache   available\nMem:      2045460480    62132224  1293000704       12288   1   714346495  1983328256\nSwap:              0           0           0\n",
	} {
		m, err := parseFree(text)
		require.NoError(t, err)
		require.Equal(t, want, m)
	}
	_, err := parseFree("             total       used       free     shared    buffers     cached\nMem:          1          1          1          1          1          1\n")
	require.ErrorContains(t, err, `no column "available"`)
}

package securemount

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// What the agent sends for the image store.
func imageStore() *cdh.SecureMountRequest {
	return &cdh.SecureMountRequest{
		VolumeType: "block-device",
		Options: map[string]string{
			"deviceId": "8:16", "sourceType": "empty", "targetType": "fileSystem", "filesystemType": "ext4",
			"mkfsOpts": "-E lazy_journal_init", "encryptionType": "luks2", "dataIntegrity": "true",
		},
		MountPoint: "/run/kata-containers/image/",
	}
}

// with returns the image store's request with options changed; "-" takes one out.
func with(options ...string) *cdh.SecureMountRequest {
	req := imageStore()
	for i := 0; i < len(options); i += 2 {
		req.Options[options[i]] = options[i+1]
	}
	maps.DeleteFunc(req.Options, func(_, value string) bool { return value == "-" })
	return req
}

func TestAgentsRequests(t *testing.T) {
	r, err := ParseRequest(imageStore())
	require.NoError(t, err)
	want := Request{DeviceID: "8:16", Source: SourceEmpty, MountPoint: "/run/kata-containers/image"}
	require.Equal(t, want, r)

	// Encrypted emptyDir.
	r, err = ParseRequest(with("mkfsOpts", "-O ^has_journal -m 0 -i 163840 -I 128", "dataIntegrity", "false"))
	require.NoError(t, err)
	want.Integrity = storage.NoIntegrity
	want.Filesystem = storage.FilesystemOptions{BytesPerInode: 163840, InodeSize: 128, NoJournal: true}
	require.Equal(t, want, r)

	// Callers of the first version of the protocol.
	r, err = ParseRequest(&cdh.SecureMountRequest{
		VolumeType: "BlockDevice", MountPoint: "/mnt/x",
		Options: map[string]string{"deviceId": "8:16", "encryptType": "LUKS", "dataIntegrity": "false", "encryptKey": "file:///run/key"},
	})
	require.NoError(t, err)
	key, err := ParseKeySource("file:///run/key")
	require.NoError(t, err)
	require.Equal(t, Request{DeviceID: "8:16", Source: SourceEmpty, Key: key, Integrity: storage.NoIntegrity, MountPoint: "/mnt/x"}, r)
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		req  *cdh.SecureMountRequest
		want string // a part of the error; empty: accepted
	}{
		{with("deviceId", "-", "devicePath", "/dev/vdb"), ""},
		{with("devicePath", "/dev/vdb"), ""}, // deviceId wins
		{with("dataIntegrity", "-"), ""},
		{with("filesystemType", ""), ""},
		{with("cipher", "aegis128"), ""},
		{with("cipher", "aes-xts-plain64", "dataIntegrity", "false"), ""},
		{with("sourceType", "-", "encryptionType", "-", "encryptType", "LUKS2"), ""},
		{with("encryptionType", "-", "targetType", "-", "filesystemType", "-", "mkfsOpts", "-"), ""},
		{with("mapperName", "store-1", "key", "kbs:///default/key/1", "targetType", "device"), ""},
		{with("sourceType", "encrypted", "key", "sealed.a.b.c"), ""},
		{with("sourceType", "encrypted", "key", "file:///k", "encryptKey", "file:///k"), ""},

		{with("deviceId", "-"), `deviceId or devicePath is missing`},
		{with("deviceId", "8"), `deviceId "8": expected MAJ:MIN`},
		{with("deviceId", "8:16:1"), `deviceId "8:16:1": expected MAJ:MIN`},
		{with("deviceId", "+8:16"), `deviceId "+8:16": expected MAJ:MIN`},
		{with("deviceId", "/dev/vdb"), `deviceId "/dev/vdb": expected MAJ:MIN`},
		{with("deviceId", "8:1048576"), `deviceId "8:1048576": expected MAJ:MIN`},
		{with("deviceId", "-", "devicePath", "vdb"), `devicePath "vdb": expected an absolute path`},
		{with("deviceId", "-", "devicePath", "/dev/../vdb"), `devicePath "/dev/../vdb": expected an absolute path`},
		{with("sourceType", "-"), `sourceType is missing`},
		{with("sourceType", "Empty"), `sourceType "Empty": expected "empty" or "encrypted"`},
		{with("sourceType", "encrypted"), `key is missing`},
		{with("targetType", "filesystem"), `targetType "filesystem": expected "device" or "fileSystem"`},
		{with("filesystemType", "xfs"), `filesystemType "xfs": expected "ext4"`},
		{with("encryptionType", "zfs"), `encryptionType "zfs": expected "luks2"`},
		{with("encryptType", "zfs"), `encryptType "zfs": expected`},
		{with("dataIntegrity", "True"), `dataIntegrity "True": expected "false" or "true"`},
		{with("dataIntegrity", ""), `dataIntegrity "": expected "false" or "true"`},
		{with("cipher", "aegis128-random"), `cipher "aegis128-random": expected "aegis128" or "aes-xts-plain64"`},
		{with("cipher", "aegis128", "dataIntegrity", "false"), `dataIntegrity "false": the cipher aegis128 cannot be without integrity`},
		{with("key", "hunter2"), `key: expected file://PATH, kbs://…`},
		{with("key", "file:///k", "encryptKey", "file:///l"), `key and encryptKey: they differ`},
		{with("mapperName", "a/b"), `mapperName "a/b": expected`},
		{with("mapperName", ""), `mapperName "": expected`},
		{with("mkfsOpts", "-O journal_dev"), `mkfsOpts: -O "journal_dev": a feature that cannot be chosen here`},
		{with("DataIntegrity", "true"), `option "DataIntegrity": unknown`},
		{with("readonly", "true", "x", "y"), `option "readonly": unknown; option "x": unknown`},
	} {
		_, err := ParseRequest(c.req)
		if c.want == "" {
			require.NoError(t, err, "%v", c.req.Options)
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "hunter2", "somebody's key")
	}
}

// All that is wrong is said at once.
func TestAllProblemsAtOnce(t *testing.T) {
	req := with("sourceType", "full", "dataIntegrity", "yes", "mkfs", "ext4")
	req.VolumeType, req.MountPoint, req.Flags = "disk", "image", []string{"ro", "suid"}
	_, err := ParseRequest(req)
	var invalid *InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Problems, 6, "%q", invalid.Problems)
}

func TestMountPoints(t *testing.T) {
	for name, good := range map[string]bool{
		"/run/kata-containers/image/": true, "/mnt": true, "/a b/c": true,
		"": false, "/": false, "//": false, "mnt": false, "/mnt//x": false, "/mnt/../x": false, "/mnt/.": false,
		"/mnt//": false, "/a\x00b": false, "/" + strings.Repeat("x", 4095): false,
	} {
		req := imageStore()
		req.MountPoint = name
		_, err := ParseRequest(req)
		require.Equal(t, good, err == nil, "%q: %v", name, err)
	}
}

func TestMountFlags(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  storage.MountFlags
		err   string
	}{
		{[]string{"nodev", "nosuid", "noatime", "rw", "defaults"}, 0, ""},
		{[]string{"ro", "noexec"}, storage.ReadOnly | storage.NoExec, ""},
		{[]string{"ro", "rw"}, 0, "contradict"},
		{[]string{"exec", "noexec"}, 0, "contradict"},
		{[]string{"dev"}, 0, `flag "dev": expected`},
		{[]string{"suid"}, 0, `flag "suid": expected`},
		{[]string{"ro,noexec"}, 0, `flag "ro,noexec": expected`},
		{[]string{""}, 0, `flag "": expected`},
	} {
		req := imageStore()
		req.Flags = c.flags
		r, err := ParseRequest(req)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, r.MountFlags, "%q", c.flags)
	}
}

func TestOversizedRequests(t *testing.T) {
	huge := strings.Repeat("x", maxValue+1)
	many := imageStore()
	for i := range maxOptions {
		many.Options[strings.Repeat("x", i)] = ""
	}
	manyFlags := imageStore()
	manyFlags.Flags = make([]string, maxFlags+1)
	for _, req := range []*cdh.SecureMountRequest{with("mapperName", huge), with(huge, "x"), many, manyFlags} {
		_, err := ParseRequest(req)
		var invalid *InvalidRequestError
		require.ErrorAs(t, err, &invalid)
		require.Less(t, len(err.Error()), 200)
	}
	_, err := ParseRequest(with("mapperName", huge[:maxValue]))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 200)
}

func TestMkfsOptions(t *testing.T) {
	for text, want := range map[string]storage.FilesystemOptions{
		"":                                      {},
		"-E lazy_journal_init":                  {},
		"-E lazy_itable_init=0,nodiscard":       {},
		"-O ^has_journal -m 0 -i 163840 -I 128": {BytesPerInode: 163840, InodeSize: 128, NoJournal: true},
		"-O^has_journal -i163840":               {BytesPerInode: 163840, NoJournal: true},
		"-O extents,^metadata_csum -b 4096 -q":  {},
		"-O ^has_journal -O has_journal":        {},
		"-L images -F -t ext4 -m 5.5":           {Label: "images"},
	} {
		got, err := ParseMkfsOptions(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"-O":               `-O "": a feature`,
		"-O metadata_csum": `metadata_csum is never on`,
		"-O ^extents":      `extents is always on`,
		"-E stride=4":      `-E "stride=4": expected`,
		"-E discard=2":     `-E "discard=2": expected`,
		"-I 512":           `-I "512": expected 128 or 256`,
		"-i 12":            `-i "12": expected 1024 to 67108864`,
		"-i x":             `-i "x": expected`,
		"-b 1024":          `-b "1024": expected 4096`,
		"-m NaN":           `-m "NaN": expected`,
		"-m 51":            `-m "51": expected`,
		"-t xfs":           `-t "xfs": expected ext4`,
		"-J size=4":        `"-J": not known here`,
		"-":                `"-": not known here`,
		"/dev/sda":         `"/dev/sda": not known here`,
	} {
		_, err := ParseMkfsOptions(text)
		require.ErrorContains(t, err, want)
	}
}

func TestKeySources(t *testing.T) {
	for text, good := range map[string]bool{
		"file:///run/key": true, "kbs:///default/key/1": true, "kbs://host:80/a/b/c": true, "sealed.a.b.c": true,
		"kbs+pkcs11:///a/b/c": true, "kbs+a.b-c+1://host/a": true, "kbs+:///a/b/c": false, "kbs+a b:///a/b/c": false, "kbs+plugin:/a": false,
		"": false, "random": false, "file://run/key": false, "file:///a/../b": false, "file:///": false, "file:/k": false,
		"kbs:///a b": false, "kbs:/a": false, "sealed.\n": false, "http://x": false,
	} {
		source, err := ParseKeySource(text)
		require.Equal(t, good, err == nil, text)
		require.Equal(t, good, source.Given())
	}
	sealed, err := ParseKeySource("sealed.a.b.c")
	require.NoError(t, err)
	require.Equal(t, "a sealed secret", sealed.String())
}

// Whatever is sent, it is refused, or understood within the bounds.
func FuzzParseRequest(f *testing.F) {
	f.Add("block-device", "deviceId", "8:16", "empty", "-O ^has_journal -m 0 -i 163840 -I 128", "true", "file:///k", "ro", "/run/kata-containers/image/")
	f.Add("BlockDevice", "devicePath", "/dev/vdb", "encrypted", "-E lazy_journal_init", "false", "sealed.a.b.c", "noexec", "/a")
	f.Fuzz(func(t *testing.T, kind, deviceOption, device, source, mkfs, integrity, key, flag, mountPoint string) {
		req := &cdh.SecureMountRequest{VolumeType: kind, MountPoint: mountPoint, Flags: []string{flag}, Options: map[string]string{
			deviceOption: device, "sourceType": source, "mkfsOpts": mkfs, "dataIntegrity": integrity, "key": key,
		}}
		r, err := ParseRequest(req)
		if err != nil {
			require.Equal(t, Request{}, r)
			return
		}
		require.True(t, canonical(r.MountPoint) && r.MountPoint != "/")
		require.True(t, (r.DeviceID != "") != (r.DevicePath != ""))
		require.Equal(t, source == "empty", r.Source == SourceEmpty)
		require.Equal(t, integrity == "true", r.Integrity == storage.HMACSHA256)
		require.True(t, r.Source == SourceEmpty || r.Key.Given())
		require.Contains(t, flags, flag)
		require.Contains(t, []int{0, 128, 256}, r.Filesystem.InodeSize)
		again, err := ParseRequest(req)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

package securemount

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// peerpod is cloud-api-adaptor's part in a guest (pkg/forwarder/interceptor): it looks
// for a LUKS header on a volume, and asks for the one or the other.
type peerpod struct {
	disk, dir string
}

func (p peerpod) request(t *testing.T) *cdh.SecureMountRequest {
	t.Helper()
	f, err := os.Open(p.disk)
	require.NoError(t, err)
	defer f.Close()
	magic := make([]byte, 6)
	_, err = io.ReadFull(f, magic)
	require.NoError(t, err)
	source := "empty"
	if string(magic) == "LUKS\xba\xbe" {
		source = "encrypted"
	}
	require.NoError(t, os.MkdirAll(p.dir, 0o755))
	return &cdh.SecureMountRequest{VolumeType: "block-device", MountPoint: p.dir, Flags: []string{}, Options: map[string]string{
		"devicePath": p.disk, "sourceType": source, "targetType": "fileSystem", "encryptionType": "luks2",
		"filesystemType": "ext4", "key": "kbs:///default/key/volume", "mapperName": "caa-volume",
	}}
}

func (p peerpod) mount(t *testing.T, s *service, source string) {
	t.Helper()
	req := p.request(t)
	require.Equal(t, source, req.Options["sourceType"])
	_, err := s.mount.SecureMount(t.Context(), req)
	require.NoError(t, err)
}

// unmount is what cloud-api-adaptor does at the end of a pod.
func (p peerpod) unmount(t *testing.T) {
	t.Helper()
	require.NoError(t, unix.Unmount(p.dir, 0))
	tool(t, "cryptsetup", "close", "caa-volume")
}

// A volume of cloud-api-adaptor is formatted once, and keeps what is on it: when the
// service is started again, when a pod ends and the next one comes, and when the guest
// is gone, with all that was in its memory.
func TestCloudAPIAdaptor(t *testing.T) {
	s := serve(t, Options{Upstream: keeper{resources: map[string]string{"kbs:///default/key/volume": longKey}}.start(t)})
	p := peerpod{storagetest.Disk(t, small), newDir(t)}
	request(t, p.disk, p.dir) // takes the store away at the end
	kept := func() {
		t.Helper()
		require.Equal(t, "kept", readFile(t, filepath.Join(p.dir, "f")))
		live, err := storage.StatusOf(t.Context(), "caa-volume")
		require.NoError(t, err)
		require.Equal(t, "hmac(sha256)", live.Integrity, "it says nothing of integrity")
	}
	p.mount(t, s, "empty")
	writeFile(t, filepath.Join(p.dir, "f"), "kept")
	kept()

	s.restart(t)
	p.mount(t, s, "encrypted")
	kept()
	p.unmount(t)
	p.mount(t, s, "encrypted")
	kept()

	// The guest ends: its mappings are gone, and the service knows of nothing.
	require.NoError(t, storage.Close(t.Context(), "caa-volume"))
	s.restart(t)
	p.mount(t, s, "encrypted")
	kept()
	p.unmount(t)

	others := p.request(t)
	others.Options["filesystemType"] = "xfs" // which it also sends, where a user wants that
	s.refused(t, others, codes.InvalidArgument, `filesystemType "xfs": expected "ext4"`)
	p.mount(t, s, "encrypted")
	kept()
}

// Requests as their senders write them, of every version; see docs/secure-mount.md.
func TestCallers(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		options map[string]string
		want    Request
	}{
		"Kata's agent 3.8 to 3.27": {"BlockDevice", map[string]string{
			"deviceId": "8:16", "encryptType": "LUKS", "dataIntegrity": "true",
		}, Request{DeviceID: "8:16", Source: SourceEmpty}},
		"Kata's agent since 3.28": {"block-device", map[string]string{
			"deviceId": "8:16", "sourceType": "empty", "targetType": "fileSystem", "filesystemType": "ext4",
			"mkfsOpts": "-E lazy_journal_init", "encryptionType": "luks2", "dataIntegrity": "false",
		}, Request{DeviceID: "8:16", Source: SourceEmpty, Integrity: storage.NoIntegrity}},
		"the Confidential Data Hub's page, ephemeral": {"block-device", map[string]string{
			"devicePath": "/dev/loop0", "sourceType": "empty", "targetType": "device", "encryptionType": "luks2",
		}, Request{DevicePath: "/dev/loop0", Source: SourceEmpty, Target: TargetDevice}},
		"the same, without a filesystem's name": {"block-device", map[string]string{
			"devicePath": "/dev/loop0", "sourceType": "empty", "targetType": "fileSystem", "encryptionType": "luks2", "filesystemType": "",
		}, Request{DevicePath: "/dev/loop0", Source: SourceEmpty}},
		"the same, persistent": {"block-device", map[string]string{
			"devicePath": "/dev/loop0", "sourceType": "encrypted", "targetType": "fileSystem", "encryptionType": "luks2",
			"key": "file:///tmp/encryption_key", "filesystemType": "ext4",
		}, Request{DevicePath: "/dev/loop0", Source: SourceEncrypted, Key: KeySource{keyFile, "/tmp/encryption_key"}}},
	} {
		got, err := ParseRequest(&cdh.SecureMountRequest{VolumeType: c.kind, Options: c.options, MountPoint: "/mnt/x"})
		require.NoError(t, err, name)
		c.want.MountPoint = "/mnt/x"
		require.Equal(t, c.want, got, name)
	}
}

package securemount

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// client connects with the client that programs have.
func (s *service) client(t *testing.T) *stores.Client {
	t.Helper()
	client, err := stores.Dial(t.Context(), s.socket)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestVolumeRequests(t *testing.T) {
	good := func() *stores.OpenVolumeRequest {
		return &stores.OpenVolumeRequest{Device: "8:16", Contents: stores.Contents_CONTENTS_NONE, MountPoint: "/mnt/x"}
	}
	r, err := volumeRequest(good())
	require.NoError(t, err)
	require.Equal(t, Request{DeviceID: "8:16", Source: SourceEmpty, MountPoint: "/mnt/x"}, r)

	all := &stores.OpenVolumeRequest{
		Device: "/dev/vdb", Contents: stores.Contents_CONTENTS_VOLUME, Key: "file:///k", MountPoint: "/mnt/x/", NoIntegrity: true,
		Name: "n", ReadOnly: true, NoExec: true, BytesPerInode: 65536, InodeSize: 128, Label: "a b", NoJournal: true,
	}
	r, err = volumeRequest(all)
	require.NoError(t, err)
	require.Equal(t, Request{
		DevicePath: "/dev/vdb", Source: SourceEncrypted, Key: KeySource{keyFile, "/k"}, MountPoint: "/mnt/x", Integrity: storage.NoIntegrity,
		MapperName: "n", MountFlags: storage.ReadOnly | storage.NoExec,
		Filesystem: storage.FilesystemOptions{BytesPerInode: 65536, InodeSize: 128, Label: "a b", NoJournal: true},
	}, r)

	for want, change := range map[string]func(*stores.OpenVolumeRequest){
		"contents 0: expected":         func(r *stores.OpenVolumeRequest) { r.Contents = 0 },
		"contents 7: expected":         func(r *stores.OpenVolumeRequest) { r.Contents = 7 },
		`deviceId "": expected`:        func(r *stores.OpenVolumeRequest) { r.Device = "" },
		"key is missing":               func(r *stores.OpenVolumeRequest) { r.Contents = stores.Contents_CONTENTS_VOLUME },
		`inode_size "512": expected`:   func(r *stores.OpenVolumeRequest) { r.InodeSize = 512 },
		`bytes_per_inode "5": exp`:     func(r *stores.OpenVolumeRequest) { r.BytesPerInode = 5 },
		`label "more than 16 bytes": `: func(r *stores.OpenVolumeRequest) { r.Label = "more than 16 bytes" },
		`mount_point "": expected`:     func(r *stores.OpenVolumeRequest) { r.MountPoint = "" },
	} {
		req := good()
		change(req)
		_, err := volumeRequest(req)
		require.ErrorContains(t, err, want)
		require.Equal(t, codes.InvalidArgument, codeOf(err))
	}
}

// A volume through the typed protocol: made once, however often it is asked for, and
// opened again.
func TestOpenVolume(t *testing.T) {
	s := serve(t, Options{})
	client := s.client(t)
	disk, dir := storagetest.Disk(t, small), newDir(t)
	number := request(t, disk, dir).Options["deviceId"]
	file := filepath.Join(dir, "f")
	req := &stores.OpenVolumeRequest{
		Device: number, Contents: stores.Contents_CONTENTS_NONE, Key: writeKey(t, longKey), MountPoint: dir, IdempotencyKey: "first",
	}
	first, err := client.OpenVolume(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "mounted", first.Store.State)
	require.Equal(t, "hmac(sha256)", first.Store.Integrity)
	writeFile(t, file, "kept")
	again, err := client.OpenVolume(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.Store.Uuid, again.Store.Uuid)

	refused := func(r *stores.OpenVolumeRequest, code codes.Code, text string) {
		t.Helper()
		_, err := client.OpenVolume(t.Context(), r)
		require.Equal(t, code, status.Code(err), "%v", err)
		require.ErrorContains(t, err, text)
	}
	other := proto.CloneOf(req)
	other.NoExec = true
	refused(other, codes.InvalidArgument, "another request had it")

	// The caller did not get the answer, and the volume was in use and closed since.
	_, err = client.CloseVolume(t.Context(), &stores.CloseVolumeRequest{Store: dir})
	require.NoError(t, err)
	refused(req, codes.FailedPrecondition, "a new idempotency_key asks for it once more")
	opened := proto.CloneOf(req)
	opened.Contents, opened.IdempotencyKey = stores.Contents_CONTENTS_VOLUME, ""
	_, err = client.OpenVolume(t.Context(), opened)
	require.NoError(t, err)
	require.Equal(t, "kept", readFile(t, file))
	again, err = client.OpenVolume(t.Context(), req)
	require.NoError(t, err, "what it made is there")
	require.Equal(t, first.Store.Uuid, again.Store.Uuid)

	// A request that failed can be made again with its key.
	_, err = client.CloseVolume(t.Context(), &stores.CloseVolumeRequest{Store: dir})
	require.NoError(t, err)
	wrong := proto.CloneOf(opened)
	wrong.IdempotencyKey, wrong.Key = "third", writeKey(t, "another key of thirty-two bytes or so\xff")
	refused(wrong, codes.PermissionDenied, "")
	refused(wrong, codes.PermissionDenied, "")
}

// next waits for an event of a kind.
func next(t *testing.T, events stores.Stores_WatchVolumeClient, kind stores.VolumeEvent_Kind) *stores.VolumeEvent {
	t.Helper()
	for {
		e, err := events.Recv()
		require.NoError(t, err, "no event of kind %s", kind)
		if e.Kind == kind {
			return e
		}
	}
}

// Who watches a volume is told how it grows, of blocks that are not what was written, and
// of its end.
func TestWatchVolume(t *testing.T) {
	const size = 12 * gib
	s := serve(t, Options{})
	client := s.client(t)
	disk, dir := storagetest.Disk(t, size), newDir(t)
	live := s.do(t, request(t, disk, dir))
	events, err := client.WatchVolume(t.Context(), &stores.WatchVolumeRequest{Store: dir})
	require.NoError(t, err)
	e := next(t, events, stores.VolumeEvent_KIND_STATE)
	require.Equal(t, live.UUID, e.Store.Uuid)
	require.Zero(t, e.IntegrityErrors)

	_, err = client.Grow(t.Context(), &stores.GrowRequest{Store: dir, Bytes: live.Growth.Bytes + gib})
	require.NoError(t, err)
	e = next(t, events, stores.VolumeEvent_KIND_GROWN)
	require.Greater(t, e.Store.Filesystem.GrownBytes, live.Growth.Bytes)

	readUnwritten(t, live)
	e = next(t, events, stores.VolumeEvent_KIND_INTEGRITY_ERROR)
	require.Positive(t, e.IntegrityErrors)
	require.Equal(t, uint64(unwritten/512), e.Unreadable[0].Sector)

	_, err = client.CloseVolume(t.Context(), &stores.CloseVolumeRequest{Store: dir})
	require.NoError(t, err)
	next(t, events, stores.VolumeEvent_KIND_CLOSED)
	_, err = events.Recv()
	require.ErrorIs(t, err, io.EOF)
	gone, err := client.WatchVolume(t.Context(), &stores.WatchVolumeRequest{Store: dir})
	require.NoError(t, err)
	_, err = gone.Recv()
	require.Equal(t, codes.NotFound, status.Code(err))
}

// unwritten is where nobody has written.
const unwritten = 7*gib + 12345*4096

// readUnwritten reads one block that nobody wrote, as one that the host changed.
func readUnwritten(t *testing.T, live *storage.Status) {
	t.Helper()
	f, err := os.Open(live.Path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)) // no others with it
	_, err = f.ReadAt(make([]byte, 1), unwritten)
	require.Error(t, err)
}

func TestChanges(t *testing.T) {
	there := &storage.Status{DeviceNumber: "1:0", Growth: &storage.Growth{Bytes: 1}}
	require.Empty(t, changes(there, there))
	grown := &storage.Status{DeviceNumber: "1:0", Growth: &storage.Growth{Bytes: 2}, IntegrityErrors: storage.IntegrityErrors{AtLeast: 1}}
	events := changes(there, grown)
	require.Len(t, events, 1)
	require.Equal(t, stores.VolumeEvent_KIND_GROWN, events[0].Kind)
	require.Equal(t, uint64(1), events[0].IntegrityErrors)
}

func TestIntegrityEvents(t *testing.T) {
	var l integrityEvents
	event := func(uuid string, failures int) storage.IntegrityEvent {
		return storage.IntegrityEvent{UUID: uuid, Failures: failures}
	}
	list, told := l.since(0, "a")
	require.Empty(t, list)
	l.add(event("a", 1))
	l.add(event("b", 2))
	list, now := l.since(told, "a")
	require.Equal(t, []storage.IntegrityEvent{event("a", 1)}, list)
	list, _ = l.since(now, "a")
	require.Empty(t, list, "told once")
	for i := range 2 * rememberedEvents {
		l.add(event("a", i))
	}
	list, _ = l.since(now, "a")
	require.Len(t, list, rememberedEvents, "the latest")
	require.Equal(t, event("a", 2*rememberedEvents-1), list[rememberedEvents-1])

	text := unreadable([]storage.Unreadable{{Sector: 8, Sectors: 16, Holds: mkfs.ContentFile, Inode: 12, Paths: []string{"/a", "/\xff"}, MorePaths: 3}})
	require.Len(t, text, 1)
	require.True(t, proto.Equal(&stores.Unreadable{
		Sector: 8, Sectors: 16, Holds: "file", Inode: 12, Paths: []string{"/a", "/\uFFFD"}, MorePaths: 3,
	}, text[0]))
}

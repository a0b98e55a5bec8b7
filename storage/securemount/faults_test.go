package securemount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/trusted-store/trusted-store/internal/keyservice"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

// files lists what lies below the directories that a service may be tempted to
// keep something in.
func files(t *testing.T) (names []string) {
	t.Helper()
	for _, root := range []string{"/run", "/dev/shm", "/var/tmp"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			names = append(names, path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}))
	}
	return names
}

// Elsewhere the mapping is never closed, the file with the header stays, and the
// device cannot be mounted again.
func TestNothingIsLeftAndMountedAgain(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	// Of a bed's directories this is the only one where programs of the host are at work.
	require.NoError(t, os.MkdirAll("/var/tmp", 0o1777))
	require.NoError(t, unix.Mount("tmpfs", "/var/tmp", "tmpfs", 0, ""))
	defer func() { require.NoError(t, unix.Unmount("/var/tmp", 0)) }()
	before := files(t)
	for range 3 {
		s.do(t, request(t, disk, dir))
		s.unmountStore(t, dir)
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list)
		require.Equal(t, before, files(t))
	}
}

// Elsewhere nothing is undone after a failure half-way.
func TestFailureIsUndoneAndRetried(t *testing.T) {
	s := serve(t, Options{})
	faulty := storagetest.NewFaulty(t, storagetest.Disk(t, small))
	dir := filepath.Join(newDir(t), "deeper")
	for _, place := range []int64{0, 16 * mib, 16*mib + 4096, 20 * mib, 40 * mib} {
		faulty.Set(t, storagetest.Fault{Kind: storagetest.FailWrites, Offset: place})
		req := request(t, faulty.Path(), dir)
		_, err := s.mount.SecureMount(t.Context(), req)
		require.Error(t, err, "writes fail from byte %d", place)
		require.Regexp(t, `desc = \d+:\d+: [a-z ]+: `, err.Error(), "it says what was being done")
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoDirExists(t, filepath.Dir(dir))
		faulty.Set(t)
		s.do(t, req)
		s.unmountStore(t, dir)
		require.NoError(t, os.RemoveAll(filepath.Dir(dir)))
	}
}

// Elsewhere devices under 128 MiB fail with integrity.
func TestSmallDevices(t *testing.T) {
	s := serve(t, Options{})
	for _, size := range []int64{17, 24, 64, 100, 127} {
		dir := newDir(t)
		live := s.do(t, request(t, storagetest.Disk(t, size*mib), dir))
		require.Equal(t, "hmac(sha256)", live.Integrity)
		writeFile(t, filepath.Join(dir, "f"), "x")
	}
	s.refused(t, request(t, storagetest.Disk(t, 16*mib), newDir(t)), codes.FailedPrecondition, "too small")
}

// Elsewhere the header of an encrypted source is not looked at, and what has none
// may be formatted.
func TestEncryptedIsNeverFormatted(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	open := request(t, disk, dir, "sourceType", "encrypted", "key", writeKey(t, longKey))
	untouched := func(want string) {
		t.Helper()
		before := storagetest.ReadBytes(t, disk, 0, 2*mib)
		s.refused(t, open, codes.FailedPrecondition, want)
		require.Equal(t, before, storagetest.ReadBytes(t, disk, 0, 2*mib))
	}
	untouched("header")
	hostile, err := filepath.Glob("../../testdata/luks2/hostile/*.vector")
	require.NoError(t, err)
	require.NotEmpty(t, hostile)
	for i := 0; i < len(hostile); i += len(hostile)/8 + 1 {
		text, err := os.ReadFile(hostile[i])
		require.NoError(t, err)
		v, err := vector.Parse(text)
		require.NoError(t, err)
		header := make([]byte, (len(v.Bytes)+4095)/4096*4096)
		copy(header, v.Bytes)
		storagetest.WriteBytes(t, disk, 0, header)
		untouched("header rejected")
	}
	// The owner's word formats it, and then it can be opened.
	s.do(t, request(t, disk, dir, "key", writeKey(t, longKey)))
	writeFile(t, filepath.Join(dir, "f"), "kept")
	s.unmountStore(t, dir)
	s.do(t, open)
	require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
	s.unmountStore(t, dir)
	s.refused(t, request(t, disk, dir, "sourceType", "encrypted", "key", writeKey(t, "another")), codes.PermissionDenied, "wrong key")
	open.Flags = []string{"ro"}
	require.Equal(t, "ro,nosuid,nodev,noatime", s.do(t, open).Mounts[0].Options)
}

// Elsewhere unknown options are ignored.
func TestRefusedRequestsTouchNothing(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	storagetest.WriteBytes(t, disk, 0, []byte(strings.Repeat("mine", 1024)))
	for _, c := range []struct {
		req  *cdh.SecureMountRequest
		code codes.Code
		text string
	}{
		{request(t, disk, dir, "journal", "off"), codes.InvalidArgument, `option "journal": unknown`},
		{request(t, disk, filepath.Join(link, "x")), codes.InvalidArgument, "leads through a symbolic link"},
		{request(t, disk, dir, "deviceId", "-", "devicePath", "/dev/null"), codes.InvalidArgument, "no block device"},
		{request(t, disk, dir, "deviceId", "4095:1048575"), codes.InvalidArgument, "no such device"},
		{request(t, disk, dir, "key", "file:///no/such/file"), codes.InvalidArgument, "no such file"},
		{request(t, disk, dir, "key", "kbs:///a/b/c"), codes.Unavailable, "knows no socket of api.GetResourceService"},
		{request(t, disk, "/proc/version"), codes.InvalidArgument, "not a directory"},
	} {
		s.refused(t, c.req, c.code, c.text)
		require.Equal(t, "minemine", string(storagetest.ReadBytes(t, disk, 0, 4096)[:8]))
	}
	require.NoDirExists(t, dir)
}

// Many at once: each device becomes one store, formatted once.
func TestManyRequestsAtOnce(t *testing.T) {
	made := &counter{Handler: slog.DiscardHandler, message: "store is usable"}
	s := serve(t, Options{Logger: slog.New(made)})
	const requests, devices = 100, 8
	var reqs []*cdh.SecureMountRequest
	dir := t.TempDir()
	for i := range devices {
		reqs = append(reqs, request(t, storagetest.Disk(t, small), filepath.Join(dir, fmt.Sprint(i))))
	}
	var group errgroup.Group
	for i := range requests {
		device := i % devices
		client := cdh.NewSecureMountServiceClient(dial(t, s.socket))
		group.Go(func() error {
			_, err := client.SecureMount(t.Context(), reqs[device])
			return err
		})
	}
	require.NoError(t, group.Wait())
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, devices)
	require.Equal(t, int32(devices), made.n.Load(), "none was formatted twice")
}

// counter counts log lines.
type counter struct {
	slog.Handler
	message string
	n       atomic.Int32
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == c.message {
		c.n.Add(1)
	}
	return nil
}

// Two devices at one mount point at once: one gets it.
func TestOneMountPointAtOnce(t *testing.T) {
	s := serve(t, Options{})
	dir := newDir(t)
	var group errgroup.Group
	var done atomic.Int32
	for range 4 {
		req := request(t, storagetest.Disk(t, small), dir)
		group.Go(func() error {
			if _, err := s.mount.SecureMount(t.Context(), req); err == nil {
				done.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, int32(1), done.Load())
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// A client that hangs up, or whose time is over, while the service waits for the disk
// leaves nothing, or a store that is whole; the next one gets its store.
func TestClientHangsUp(t *testing.T) {
	s := serve(t, Options{})
	host := storagetest.NewFaulty(t, storagetest.Disk(t, small))
	dir := newDir(t)
	req := request(t, host.Path(), dir)
	whole := 0
	places := []storagetest.Fault{{Length: 16 << 20}, {Offset: 16 << 20, Length: 4096}, {Offset: 16<<20 + 4096}}
	for i := range 2 * len(places) {
		place := places[i/2]
		place.Kind, place.Delay = storagetest.Slow, storagetest.UntilSet
		host.Set(t, place)
		giveUp := s.begin(t, req, i%2 == 0)
		host.AwaitHeld(t)
		giveUp()
		host.Set(t)
		s.settle(t)
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		for _, live := range list {
			require.Equal(t, storage.StateMounted, live.State, "%+v", place)
			require.Empty(t, live.Problems)
			whole++
		}
		s.do(t, req)
		s.unmountStore(t, dir)
	}
	t.Logf("of %d requests given up, %d were whole", 2*len(places), whole)
	require.Less(t, whole, 2*len(places))
}

// begin makes a request and returns what gives it up: closing the connection, which
// the service has noticed then, or ending the context.
func (s *service) begin(t *testing.T, req *cdh.SecureMountRequest, hangUp bool) (giveUp func()) {
	t.Helper()
	before := s.connections(t)
	client := dial(t, s.socket)
	ctx, cancel := context.WithCancel(t.Context())
	replied := make(chan struct{})
	go func() {
		defer close(replied)
		_, _ = cdh.NewSecureMountServiceClient(client).SecureMount(ctx, req)
	}()
	return func() {
		if hangUp {
			require.NoError(t, client.Close())
		} else {
			cancel()
		}
		<-replied
		cancel()
		for hangUp && s.connections(t) > before {
			time.Sleep(time.Millisecond)
		}
	}
}

// connections are those that the service has, and its listener.
func (s *service) connections(t *testing.T) int {
	t.Helper()
	sockets, err := os.ReadFile("/proc/net/unix")
	require.NoError(t, err)
	return strings.Count(string(sockets), " "+s.socket+"\n")
}

// settle waits until no request is under way.
func (s *service) settle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		health, err := s.stores.Health(t.Context(), &stores.HealthRequest{})
		require.NoError(t, err)
		return health.Mounting == 0
	}, time.Minute, 5*time.Millisecond)
}

// Whatever arrives on the socket, the service goes on.
func TestNonsenseOnTheSocket(t *testing.T) {
	s := serve(t, Options{})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	random := rand.New(rand.NewPCG(1, 2))
	good, err := keyservice.RequestFrame("api.SecureMountService", "SecureMount", request(t, disk, dir, "x", strings.Repeat("y", 3*mib)))
	require.NoError(t, err)
	for i := range 200 {
		b := make([]byte, random.IntN(400))
		switch i % 4 {
		case 0: // noise
			for j := range b {
				b[j] = byte(random.Uint32())
			}
		case 1: // cut short
			b = append(b[:0], good[:random.IntN(len(good))]...)
		case 2: // a true header, then noise
			b = append([]byte{0, 0, 0, 200, 0, 0, 0, 1, 1, 0}, b...)
		case 3: // more than is allowed
			b = append([]byte{255, 255, 255, 255, 0, 0, 0, 1, 1, 0}, b...)
		}
		conn, err := net.Dial("unix", s.socket)
		require.NoError(t, err)
		_, _ = conn.Write(b) // the service may be faster to close
		require.NoError(t, conn.Close())
	}
	s.refused(t, request(t, disk, dir, "x", strings.Repeat("y", 3*mib)), codes.InvalidArgument, "longer than 65536 bytes")
	_, err = s.mount.SecureMount(t.Context(), request(t, disk, dir, "x", strings.Repeat("y", 5*mib)))
	require.Error(t, err, "more than a frame holds")
	s.settle(t)
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, storage.StateMounted, s.do(t, request(t, disk, dir)).State)
}

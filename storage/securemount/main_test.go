package securemount

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40

	small   = 64 * mib // a device
	longKey = "a key of thirty-two bytes or more\xff"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// service is a server on a socket of its own, and clients of it.
type service struct {
	*Server
	socket string
	mount  cdh.SecureMountServiceService
	stores stores.StoresClient
	stop   func()
}

// serve starts a service in a test that needs a kernel.
func serve(t *testing.T, opts Options) *service {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	socket := filepath.Join(t.TempDir(), "service.sock")
	s := start(t, socket, opts)
	t.Cleanup(func() { s.stop() })
	return s
}

func start(t *testing.T, socket string, opts Options) *service {
	t.Helper()
	server := New(opts)
	require.NoError(t, server.Adopt(t.Context()))
	l, err := Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, nil, server.Register) }()
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	client := ttrpc.NewClient(conn)
	return &service{server, socket, cdh.NewSecureMountServiceClient(client), stores.NewStoresClient(client), func() {
		client.Close()
		cancel()
		require.NoError(t, <-ended)
		server.Close()
	}}
}

// restart stops the service and starts another one.
func (s *service) restart(t *testing.T) {
	t.Helper()
	s.stop()
	*s = *start(t, s.socket, s.opts)
}

// request is the image store's, for another device and mount point.
func request(t *testing.T, disk, dir string, options ...string) *cdh.SecureMountRequest {
	t.Helper()
	number, isDevice := blockNumber(disk)
	require.True(t, isDevice)
	req := with(append([]string{"deviceId", number}, options...)...)
	req.MountPoint = dir
	// Before the device goes away, whatever became of the test.
	t.Cleanup(func() {
		if live, err := find(context.Background(), number); err == nil {
			require.NoError(t, storage.Close(context.Background(), live.Name))
		}
	})
	return req
}

// do makes a request that must succeed and returns the store that is live then.
func (s *service) do(t *testing.T, req *cdh.SecureMountRequest) *storage.Status {
	t.Helper()
	_, err := s.mount.SecureMount(t.Context(), req)
	require.NoError(t, err)
	live, err := find(t.Context(), req.Options["deviceId"])
	require.NoError(t, err)
	return live
}

// refused makes a request that must fail, and change nothing of what is live.
func (s *service) refused(t *testing.T, req *cdh.SecureMountRequest, code codes.Code, text string) {
	t.Helper()
	before, err := storage.List(t.Context())
	require.NoError(t, err)
	_, err = s.mount.SecureMount(t.Context(), req)
	require.Equal(t, code, status.Code(err), "%v", err)
	require.ErrorContains(t, err, text)
	after, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(before), len(after))
	for i := range before {
		require.Equal(t, before[i].Name, after[i].Name)
		require.Equal(t, before[i].UUID, after[i].UUID)
		require.Equal(t, before[i].Mounts, after[i].Mounts)
	}
}

func (s *service) unmountStore(t *testing.T, what string) {
	t.Helper()
	_, err := s.stores.Unmount(t.Context(), &stores.UnmountRequest{Store: what})
	require.NoError(t, err)
}

func newDir(t *testing.T) string { return filepath.Join(t.TempDir(), "store") }

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(storagetest.Tool(t, name), args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return string(out)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

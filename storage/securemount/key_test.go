package securemount

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// keeper has keys, as a guest's own services have.
type keeper struct {
	resources map[string]string
	sealed    map[string]string
}

func (k keeper) GetResource(_ context.Context, req *cdh.GetResourceRequest) (*cdh.GetResourceResponse, error) {
	key, known := k.resources[req.ResourcePath]
	if !known {
		return nil, status.Error(codes.NotFound, "no such resource")
	}
	return &cdh.GetResourceResponse{Resource: []byte(key)}, nil
}

func (k keeper) UnsealSecret(_ context.Context, req *cdh.UnsealSecretInput) (*cdh.UnsealSecretOutput, error) {
	key, known := k.sealed[string(req.Secret)]
	if !known {
		return nil, status.Error(codes.Internal, "cannot be unsealed")
	}
	return &cdh.UnsealSecretOutput{Plaintext: []byte(key)}, nil
}

func (k keeper) start(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "keeper.sock")
	l, err := Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, nil, func(s *ttrpc.Server) {
			cdh.RegisterGetResourceServiceService(s, k)
			cdh.RegisterSealedSecretServiceService(s, k)
		})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return socket
}

func TestKeysOfTheGuestsServices(t *testing.T) {
	socket := keeper{
		resources: map[string]string{"kbs:///default/key/1": longKey, "kbs+plugin:///a/b": longKey, "kbs:///default/key/empty": ""},
		sealed:    map[string]string{"sealed.a.b.c": longKey},
	}.start(t)
	s := New(Options{Upstream: socket})
	for text, want := range map[string]string{
		"kbs:///default/key/1":     "",
		"sealed.a.b.c":             "",
		"kbs+plugin:///a/b":        "",
		"kbs:///default/key/2":     "get key kbs:///default/key/2: api.GetResourceService at " + socket + ": rpc error: code = NotFound desc = no such resource",
		"kbs:///default/key/empty": "empty",
		"sealed.x.y.z":             "get key a sealed secret: api.SealedSecretService at " + socket,
	} {
		source, err := ParseKeySource(text)
		require.NoError(t, err)
		key, err := s.loadKey(t.Context(), source)
		if want == "" {
			require.NoError(t, err)
			key.Wipe()
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// A service that does not answer is not waited for longer than the caller waits.
func TestSilentKeyService(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "silent.sock")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	source, err := ParseKeySource("kbs:///a/b/c")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = New(Options{Upstream: socket}).loadKey(ctx, source)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, codes.DeadlineExceeded, status.Code(statusOf(err)))
	require.NoError(t, l.Close())
	_, err = New(Options{Upstream: socket}).loadKey(t.Context(), source)
	require.Equal(t, codes.Unavailable, status.Code(statusOf(err)), "nobody is there")
}

// One volume, its key from three places.
func TestOneKeyFromThreePlaces(t *testing.T) {
	s := serve(t, Options{Upstream: keeper{
		resources: map[string]string{"kbs:///default/key/1": longKey}, sealed: map[string]string{"sealed.a.b.c": longKey},
	}.start(t)})
	disk, dir := storagetest.Disk(t, small), newDir(t)
	s.do(t, request(t, disk, dir, "key", "kbs:///default/key/1"))
	writeFile(t, filepath.Join(dir, "f"), "kept")
	for _, key := range []string{"sealed.a.b.c", writeKey(t, longKey), "kbs:///default/key/1"} {
		require.Equal(t, "mounted", string(s.do(t, request(t, disk, dir, "key", key)).State), "it is the same key")
		s.unmountStore(t, dir)
		s.do(t, request(t, disk, dir, "key", key, "sourceType", "encrypted"))
		require.Equal(t, "kept", readFile(t, filepath.Join(dir, "f")))
	}
}

package guestpull_test

import (
	"context"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// keeper is the key service of a guest.
type keeper struct {
	resources map[string][]byte
	layerKeys map[string][]byte // by what a layer says of its key
	asked     atomic.Int32
}

func (k *keeper) GetResource(_ context.Context, r *cdh.GetResourceRequest) (*cdh.GetResourceResponse, error) {
	k.asked.Add(1)
	text, known := k.resources[r.ResourcePath]
	if !known {
		return nil, status.Error(codes.NotFound, "no such resource")
	}
	return &cdh.GetResourceResponse{Resource: text}, nil
}

func (k *keeper) start(t testing.TB) (socket string) {
	t.Helper()
	server, err := ttrpc.NewServer()
	require.NoError(t, err)
	cdh.RegisterGetResourceServiceService(server, k)
	server.Register("keyprovider.KeyProviderService", map[string]ttrpc.Method{"UnWrapKey": k.unwrapKey})
	socket = filepath.Join(t.TempDir(), "keys.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, ttrpc.ErrServerClosed)
	})
	return socket
}

// Credentials of the guest's key service: asked for when a registry asks, once for
// each pull.
func TestCredentialsOfTheKeyService(t *testing.T) {
	open, closed := newRegistry(t, t.TempDir()), newRegistry(t, t.TempDir())
	image := newImage(t, closed)
	for _, text := range []string{"a", "b", "c"} {
		image.layer(func(l *layerBuilder) { l.file(text, text) })
	}
	secret, d := closed.push(t, "app:1", image.image)
	public, _ := open.push(t, "app:1", newImage(t, open).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	asUser(t, closed, "me:of the key service")
	config := encode(t, map[string]any{"auths": map[string]any{closed.host: basic("me", "of the key service")}})
	k := &keeper{resources: map[string][]byte{"kbs:///default/credentials/1": config, "kbs+plugin:///a/b/c": config, "kbs:///default/wrong/1": []byte("s3cr3t")}}
	socket := k.start(t)

	for _, uri := range []string{"kbs:///default/credentials/1", "kbs+plugin:///a/b/c"} {
		o := guestpull.Options{AuthFile: uri, KeyService: socket}
		_, err := fetch(t, public, o)
		require.NoError(t, err)
		require.Zero(t, k.asked.Swap(0), "nobody wanted any")
		got, err := fetch(t, secret, o)
		require.NoError(t, err)
		require.Equal(t, d, got.Digest)
		require.Equal(t, int32(1), k.asked.Swap(0))
	}
	for uri, says := range map[string]string{
		"kbs:///default/credentials/2": "api.GetResourceService at " + socket + ": rpc error: code = NotFound desc = no such resource",
		"kbs:///default/wrong/1":       "no JSON of a docker config",
	} {
		_, err := fetch(t, secret, guestpull.Options{AuthFile: uri, KeyService: socket})
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, uri)
		require.NotContains(t, err.Error(), "s3cr3t")
	}
	_, err := fetch(t, secret, guestpull.Options{AuthFile: "kbs:///default/credentials/1"})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, "no key service is known")
	_, err = fetch(t, secret, guestpull.Options{AuthFile: "kbs:///default/credentials/1", KeyService: filepath.Join(t.TempDir(), "nobody")})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
}

// A key service that does not answer is not waited for longer than the caller waits.
func TestSilentKeyService(t *testing.T) {
	reg := newRegistry(t, t.TempDir())
	name, _ := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	asUser(t, reg, "me:x")
	socket := filepath.Join(t.TempDir(), "silent.sock")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = guestpull.Fetch(ctx, name, guestpull.Options{AuthFile: "kbs:///a/b/c", KeyService: socket})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 10*time.Second)
}

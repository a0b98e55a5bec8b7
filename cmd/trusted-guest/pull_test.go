package main

import (
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// pushed puts a random image into a registry on loopback, and returns its name and
// its digest.
func pushed(t *testing.T, layers int64) (image, digest string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image = strings.TrimPrefix(server.URL, "http://") + "/app:1"
	ref, err := name.ParseReference(image)
	require.NoError(t, err)
	img, err := random.Image(64<<10, layers)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img))
	d, err := img.Digest()
	require.NoError(t, err)
	return image, d.String()
}

// The agent's two requests, in its order and on its socket: a store for images, and
// an image onto it.
func TestMountAndPull(t *testing.T) {
	kernel(t)
	image, digest := pushed(t, 3)
	disk, dir := storagetest.Disk(t, 128<<20), filepath.Join(t.TempDir(), "store")
	p := launch(t, newSocket(t), "--store", dir)
	pull := cdh.NewImagePullServiceClient(p.client(t))
	bundle := filepath.Join(t.TempDir(), "bundle")

	require.NoError(t, p.mount(t, request(t, disk, dir)))
	got, err := pull.PullImage(t.Context(), &cdh.ImagePullRequest{ImageUrl: image, BundlePath: bundle})
	require.NoError(t, err)
	require.Equal(t, digest, got.ManifestDigest)
	files, err := os.ReadDir(filepath.Join(bundle, "rootfs"))
	require.NoError(t, err)
	require.Len(t, files, 3, "one in each layer")
	second := filepath.Join(t.TempDir(), "second")
	require.Equal(t, digest, pullTold(t, p, image, second))
	for _, b := range []string{bundle, second} {
		require.NoError(t, guestpull.New(dir, guestpull.Options{}).Release(t.Context(), b))
	}
	p.unmount(t, dir)
}

// pullTold pulls as who is told how far it is, and returns the digest.
func pullTold(t *testing.T, p *process, image, bundle string) (digest string) {
	t.Helper()
	client, err := stores.Dial(t.Context(), p.socket)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	events, err := client.PullImage(t.Context(), &stores.PullImageRequest{Image: image, Bundle: bundle})
	require.NoError(t, err)
	layers := map[uint32]bool{}
	for {
		e, err := events.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if digest = e.Digest; digest == "" {
			layers[e.Layer] = e.Done == e.Total
		}
	}
	require.Equal(t, map[uint32]bool{1: true, 2: true, 3: true}, layers)
	require.DirExists(t, filepath.Join(bundle, "rootfs"))
	return digest
}

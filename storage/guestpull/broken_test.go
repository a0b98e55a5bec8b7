package guestpull_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"net"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// sixMiB is an image of six layers.
func sixMiB(t *testing.T, reg *testRegistry) (name string) {
	b := newImage(t, reg)
	for i := range 6 {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint("d", i), uint64(i), 200, mib) })
	}
	name, _ = reg.push(t, "app:1", b.image)
	return name
}

// A store that is too small is seen from the sizes, or when it is full; of blocks
// or of inodes.
func TestNoRoom(t *testing.T) {
	kernel(t)
	name := sixMiB(t, newRegistry(t, t.TempDir()))
	for _, c := range []struct {
		options string
		max     uint64
		says    string
	}{
		{"size=3m", 0, "unpacks to more than the"},
		{"size=3m", math.MaxUint64, "no space left on device"},
		{"size=64m,nr_inodes=700", 0, "no space left on device"},
		{"size=64m", mib, "unpacks to more than the 1.0 MiB"},
	} {
		store := newTmpfs(t, c.options)
		_, err := guestpull.New(store, guestpull.Options{MaxBytes: c.max}).Pull(t.Context(), name, guestpull.PullOptions{})
		require.ErrorIs(t, err, guestpull.ErrNoRoom)
		require.ErrorContains(t, err, c.says)
		nothingLeft(t, store)
	}
}

// The same on a store: it is empty again and takes an image that fits.
func TestStoreFillsUp(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg).layer(func(l *layerBuilder) { l.fill("a", 1, 100, 60*mib) })
	name, _ := reg.push(t, "app:1", b.image)
	small, _ := reg.push(t, "app:2", newImage(t, reg).layer(func(l *layerBuilder) { l.fill("a", 1, 100, 20*mib) }).image)
	store := newStore(t, 64*mib)
	images := guestpull.New(store, guestpull.Options{MaxBytes: math.MaxUint64})
	for range 2 {
		_, err := images.Pull(t.Context(), name, guestpull.PullOptions{})
		require.ErrorIs(t, err, guestpull.ErrNoRoom)
		nothingLeft(t, store)
	}
	_, err := images.Pull(t.Context(), small, guestpull.PullOptions{})
	require.NoError(t, err)
}

// holds lets the registry answer the nth request from now on, counted from 0, with half
// of what it has, and no more; then held is closed.
func (reg *testRegistry) holds(t *testing.T, nth int32) (held chan struct{}) {
	held = make(chan struct{})
	var n atomic.Int32
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || n.Add(1)-1 != nth {
			return false
		}
		whole := httptest.NewRecorder()
		reg.served.ServeHTTP(whole, r)
		body := whole.Body.Bytes()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2]) // the pull is what is tested
		w.(http.Flusher).Flush()
		close(held)
		select {
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
		return true
	})
	return held
}

// A pull that is given up in the middle of any of its requests leaves nothing.
func TestInterruptedPull(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	name := sixMiB(t, reg)
	store := newTmpfs(t, "size=64m")
	images := guestpull.New(store, guestpull.Options{})
	for i := range int32(8) { // a manifest, a config, six layers
		held := reg.holds(t, i)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := images.Pull(ctx, name, guestpull.PullOptions{Bundle: newBundle(t, images)})
			gaveUp <- err
		}()
		awaits(t, held, gaveUp)
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled, "request %d", i)
		nothingLeft(t, store)
		require.NoError(t, images.Prune(t.Context()))
		require.NoError(t, os.Remove(filepath.Join(store, "images.json")))
	}
}

// awaits waits for what a pull has to come to.
func awaits(t *testing.T, held chan struct{}, ended chan error) {
	t.Helper()
	select {
	case <-held:
	case err := <-ended:
		require.FailNow(t, "the pull ended before", "%v", err)
	}
}

// One pull that is given up in the middle of a layer does not take the layers of
// another with it.
func TestInterruptedPullOfTwo(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	name := sixMiB(t, reg)
	store := newTmpfs(t, "size=64m")
	images := guestpull.New(store, guestpull.Options{})
	for i := range int32(6) {
		held := reg.holds(t, 2+i)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, pulled := make(chan error, 1), make(chan error, 1)
		var image *guestpull.Image
		go func() {
			_, err := images.Pull(ctx, name, guestpull.PullOptions{})
			gaveUp <- err
		}()
		awaits(t, held, gaveUp)
		before := reg.manifestsAsked()
		go func() {
			var err error
			image, err = images.Pull(t.Context(), name, guestpull.PullOptions{})
			pulled <- err
		}()
		for reg.manifestsAsked() == before { // it counts on the first one's layers, or is about to
			time.Sleep(time.Millisecond)
		}
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		require.NoError(t, <-pulled)
		for _, l := range image.Layers {
			files, err := filepath.Glob(filepath.Join(store, "layers", fmt.Sprint(l.Dir), "*", "*", "*"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(files), 200)
		}
		require.NoError(t, images.Prune(t.Context()))
	}
}

// manifestsAsked is how often a registry was asked for a manifest.
func (reg *testRegistry) manifestsAsked() (n int) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	for path, times := range reg.asked {
		if strings.Contains(path, "/manifests/") {
			n += times
		}
	}
	return n
}

func TestArguments(t *testing.T) {
	_, err := guestpull.New("/no/store/here", guestpull.Options{}).Pull(t.Context(), "registry.example/app:1", guestpull.PullOptions{})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.NoDirExists(t, "/no")
	images := guestpull.New(t.TempDir(), guestpull.Options{})
	for name, bundle := range map[string]string{"registry.example/UPPER": "", "": "", "registry.example/app:1": "not/absolute", "a b": ""} {
		_, err := images.Pull(t.Context(), name, guestpull.PullOptions{Bundle: bundle})
		require.ErrorIs(t, err, storage.ErrInvalid)
		e := new(storage.Error)
		require.ErrorAs(t, err, &e)
		require.NotEmpty(t, e.Hint)
	}
}

// The service answers over ttrpc with the digest, or with a text.
func TestService(t *testing.T) {
	kernel(t)
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg).layer(func(l *layerBuilder) { l.file("hello", "hello") })
	name, d := reg.push(t, "app:1", b.image)
	images := guestpull.New(newTmpfs(t, "size=16m"), guestpull.Options{})
	client := cdh.NewImagePullServiceClient(serve(t, &guestpull.Service{Images: images}))

	bundle := newBundle(t, images)
	answer, err := client.PullImage(t.Context(), &cdh.ImagePullRequest{ImageUrl: name, BundlePath: bundle})
	require.NoError(t, err)
	require.Equal(t, d.String(), answer.ManifestDigest)
	requireTree(t, b.tree, readTree(t, filepath.Join(bundle, "rootfs")))

	_, err = client.PullImage(t.Context(), &cdh.ImagePullRequest{ImageUrl: strings.TrimSuffix(name, "1") + "2", BundlePath: t.TempDir()})
	require.ErrorContains(t, err, "app:2: ask registry: ")
	require.ErrorContains(t, err, "not found (check the name")
	_, err = client.PullImage(t.Context(), &cdh.ImagePullRequest{ImageUrl: name})
	require.ErrorContains(t, err, "bundle_path is missing")
}

func serve(t *testing.T, s *guestpull.Service) *ttrpc.Client {
	t.Helper()
	server, err := ttrpc.NewServer()
	require.NoError(t, err)
	cdh.RegisterImagePullServiceService(server, s)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	conn, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, ttrpc.ErrServerClosed)
	})
	return client
}

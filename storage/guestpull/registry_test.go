package guestpull_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// testRegistry is a registry on loopback whose answers a test can change.
type testRegistry struct {
	host  string
	blobs string // directory

	mu     sync.Mutex
	served http.Handler // with the manners of a test
	change func(w http.ResponseWriter, r *http.Request) (done bool)
	asked  map[string]int // by path
}

func newRegistry(t testing.TB, dir string) *testRegistry {
	t.Helper()
	reg := &testRegistry{blobs: dir, asked: map[string]int{}}
	reg.served = registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(reg.handle))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	reg.host = strings.TrimPrefix(server.URL, "http://")
	return reg
}

func (reg *testRegistry) handle(w http.ResponseWriter, r *http.Request) {
	reg.mu.Lock()
	reg.asked[r.URL.Path]++
	change, served := reg.change, reg.served
	reg.mu.Unlock()
	if change == nil || !change(w, r) {
		served.ServeHTTP(w, r)
	}
}

// answers changes what the registry answers from now on; nil: nothing.
func (reg *testRegistry) answers(change func(w http.ResponseWriter, r *http.Request) bool) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.change = change
}

// serve adds to how the registry serves from now on.
func (reg *testRegistry) serve(around func(next http.Handler) http.Handler) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.served = around(reg.served)
}

// answersBlob changes the answer for one blob.
func (reg *testRegistry) answersBlob(d digest.Digest, answer func(w http.ResponseWriter, blob []byte)) {
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, d.String()) {
			return false
		}
		blob, err := os.ReadFile(reg.path(d))
		if err != nil {
			panic(err)
		}
		answer(w, blob)
		return true
	})
}

func (reg *testRegistry) timesAsked(d digest.Digest) int {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	n := 0
	for path, times := range reg.asked {
		if strings.HasSuffix(path, d.String()) {
			n += times
		}
	}
	return n
}

func (reg *testRegistry) path(d digest.Digest) string {
	return filepath.Join(reg.blobs, d.Algorithm().String(), d.Encoded())
}

// read returns a blob.
func (reg *testRegistry) read(t testing.TB, d digest.Digest) []byte {
	t.Helper()
	text, err := os.ReadFile(reg.path(d))
	require.NoError(t, err)
	return text
}

// blob keeps content that a manifest can name.
func (reg *testRegistry) blob(t testing.TB, mediaType string, content []byte) ocispec.Descriptor {
	t.Helper()
	d := digest.FromBytes(content)
	require.NoError(t, os.MkdirAll(filepath.Dir(reg.path(d)), 0o755))
	require.NoError(t, os.WriteFile(reg.path(d), content, 0o644))
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// testImage is what a test puts into the registry, right or wrong.
type testImage struct {
	Layers  []ocispec.Descriptor
	DiffIDs []digest.Digest
	Config  []byte // nil: a right one
}

// push puts an image into the registry and returns its name and its digest.
func (reg *testRegistry) push(t testing.TB, name string, image testImage) (string, digest.Digest) {
	t.Helper()
	config := image.Config
	if config == nil {
		config = encode(t, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: image.DiffIDs}})
	}
	manifest := encode(t, ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: reg.blob(t, ocispec.MediaTypeImageConfig, config), Layers: image.Layers})
	reg.pushManifest(t, name, ocispec.MediaTypeImageManifest, manifest)
	return reg.host + "/" + name, digest.FromBytes(manifest)
}

func (reg *testRegistry) pushManifest(t testing.TB, name, mediaType string, text []byte) {
	t.Helper()
	repo, tag, _ := strings.Cut(name, ":")
	request, err := http.NewRequest(http.MethodPut, "http://"+reg.host+"/v2/"+repo+"/manifests/"+tag, bytes.NewReader(text))
	require.NoError(t, err)
	request.Header.Set("Content-Type", mediaType)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusCreated, answer.StatusCode)
}

// manifestSize is the size of a manifest of the repository app.
func (reg *testRegistry) manifestSize(t testing.TB, d digest.Digest) int64 {
	t.Helper()
	return int64(len(reg.manifest(t, d)))
}

// manifest reads a manifest of the repository app.
func (reg *testRegistry) manifest(t testing.TB, d digest.Digest) []byte {
	t.Helper()
	answer, err := http.Get("http://" + reg.host + "/v2/app/manifests/" + d.String())
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return text
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// pushIndex puts a list of manifests for several CPUs into the registry.
func (reg *testRegistry) pushIndex(t testing.TB, name string, manifests map[string]string) {
	t.Helper()
	repo, _, _ := strings.Cut(name, ":")
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for cpu, d := range manifests {
		answer, err := http.Get("http://" + reg.host + "/v2/" + repo + "/manifests/" + d)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		list.Manifests = append(list.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(d),
			Size: int64(len(text)), Platform: &ocispec.Platform{OS: "linux", Architecture: cpu}})
	}
	reg.pushManifest(t, name, ocispec.MediaTypeImageIndex, encode(t, list))
}

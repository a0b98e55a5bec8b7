package guestpull_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// hostile is one thing that somebody between us and the image's maker does. make
// pushes the image and returns its name.
type hostile struct {
	make func(t *testing.T, reg *testRegistry) string
	opts guestpull.Options
	kind error
	says string
}

// harmless is an image that a test then spoils.
func harmless(t *testing.T, reg *testRegistry) (name string, image testImage) {
	b := newImage(t, reg)
	for _, dir := range []string{"a", "b"} {
		b.layer(func(l *layerBuilder) { l.fill(dir, 5, 40, 2*mib) })
	}
	name, _ = reg.push(t, "app:1", b.image)
	return name, b.image
}

// oneLayer pushes an image with one layer of these bytes.
func oneLayer(t *testing.T, reg *testRegistry, blob []byte, diffID digest.Digest) string {
	name, _ := reg.push(t, "app:1", testImage{Layers: []ocispec.Descriptor{reg.blob(t, ocispec.MediaTypeImageLayerGzip, blob)}, DiffIDs: []digest.Digest{diffID}})
	return name
}

// entry pushes an image with this entry in its second layer.
func entry(h tar.Header) func(*testing.T, *testRegistry) string {
	return func(t *testing.T, reg *testRegistry) string {
		b := newImage(t, reg).layer(func(l *layerBuilder) { l.file("a", "a") })
		b.layer(func(l *layerBuilder) {
			l.file("good", "good")
			h.ModTime, h.Format, h.Mode = when, tar.FormatPAX, 0o644
			require.NoError(t, l.tw.WriteHeader(&h))
		})
		name, _ := reg.push(t, "app:1", b.image)
		return name
	}
}

// answeredWith spoils the answer for the second layer of a harmless image.
func answeredWith(answer func(w http.ResponseWriter, blob []byte)) func(*testing.T, *testRegistry) string {
	return func(t *testing.T, reg *testRegistry) string {
		name, image := harmless(t, reg)
		reg.answersBlob(image.Layers[1].Digest, answer)
		return name
	}
}

// zeros compresses n zeros, as an archive or as nothing at all.
func zeros(t *testing.T, c io.WriteCloser, n int64, header *tar.Header) {
	if header != nil {
		require.NoError(t, tar.NewWriter(c).WriteHeader(header))
	}
	block := make([]byte, mib)
	for ; n > 0; n -= mib {
		_, err := c.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
}

func bomb(header *tar.Header) func(*testing.T, *testRegistry) string {
	return func(t *testing.T, reg *testRegistry) string {
		var blob bytes.Buffer
		c, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
		require.NoError(t, err)
		zeros(t, c, 100*mib, header)
		return oneLayer(t, reg, blob.Bytes(), digest.FromString("what it really is"))
	}
}

var hostiles = map[string]hostile{
	"tampered layer": {
		make: answeredWith(func(w http.ResponseWriter, blob []byte) {
			blob[len(blob)/2] ^= 1
			write(w, blob, len(blob))
		}),
		kind: guestpull.ErrRejected, says: "its digest is sha256:"},
	"layer in place of another": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, image := harmless(t, reg)
			other := newImage(t, reg)
			other.compressedLayer("zstd", func(l *layerBuilder) { l.fill("evil", 6, 40, 2*mib) })
			d := other.image.Layers[0]
			reg.answersBlob(image.Layers[1].Digest, func(w http.ResponseWriter, _ []byte) {
				blob, _ := os.ReadFile(reg.path(d.Digest))
				write(w, blob, len(blob))
			})
			return name
		}},
	"layer with the same contents": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, image := harmless(t, reg)
			reg.answersBlob(image.Layers[0].Digest, func(w http.ResponseWriter, blob []byte) {
				blob[4] ^= 1 // the time in gzip's header
				write(w, blob, len(blob))
			})
			return name
		},
		kind: guestpull.ErrRejected, says: "its digest is sha256:"},
	"wrong diff_id": {
		make: func(t *testing.T, reg *testRegistry) string {
			_, image := harmless(t, reg)
			image.DiffIDs[1] = digest.FromString("other")
			name, _ := reg.push(t, "app:1", image)
			return name
		},
		kind: guestpull.ErrRejected, says: "its diff_id is sha256:"},
	"manifest is not the digest's": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, _ := harmless(t, reg)
			d := digest.FromString("another manifest")
			reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/manifests/"+d.String()) {
					w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
					write(w, []byte("{}"), 2)
					return true
				}
				return false
			})
			return strings.TrimSuffix(name, ":1") + "@" + d.String()
		},
		kind: guestpull.ErrRejected, says: "digest"},
	"config is not the digest's": {
		make: func(t *testing.T, reg *testRegistry) string {
			config := []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`)
			_, image := harmless(t, reg)
			image.Config = config
			name, _ := reg.push(t, "app:1", image)
			reg.answersBlob(digest.FromBytes(config), func(w http.ResponseWriter, blob []byte) {
				blob[1] = ' '
				write(w, blob, len(blob))
			})
			return name
		},
		kind: guestpull.ErrRejected, says: "its digest is sha256:"},
	"fewer diff_ids than layers": {
		make: func(t *testing.T, reg *testRegistry) string {
			_, image := harmless(t, reg)
			image.DiffIDs = image.DiffIDs[:1]
			name, _ := reg.push(t, "app:1", image)
			return name
		},
		kind: guestpull.ErrRejected, says: "has 2 layers, and its config tells of 1"},
	"huge config": {
		make: func(t *testing.T, reg *testRegistry) string {
			_, image := harmless(t, reg)
			image.Config = bytes.Repeat([]byte(" "), 5*mib)
			name, _ := reg.push(t, "app:1", image)
			return name
		},
		kind: guestpull.ErrRejected, says: "5242880 bytes"},
	"huge manifest": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, _ := harmless(t, reg)
			reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				text := bytes.Repeat([]byte(" "), 5*mib)
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				w.Header().Set("Docker-Content-Digest", digest.FromBytes(text).String())
				write(w, text, len(text))
				return true
			})
			return name
		},
		kind: guestpull.ErrRejected, says: "4194304 are the most"},
	"name outside":          {make: entry(tar.Header{Name: "a/../../evil", Typeflag: tar.TypeReg}), kind: guestpull.ErrRejected, says: `"../evil" is outside`},
	"whiteout outside":      {make: entry(tar.Header{Name: "../.wh.0", Typeflag: tar.TypeReg}), kind: guestpull.ErrRejected, says: "is outside"},
	"opaque outside":        {make: entry(tar.Header{Name: "../.wh..wh..opq", Typeflag: tar.TypeReg}), kind: guestpull.ErrRejected, says: "is outside"},
	"whiteout of nothing":   {make: entry(tar.Header{Name: "a/.wh...", Typeflag: tar.TypeReg}), kind: guestpull.ErrRejected},
	"hard link outside":     {make: entry(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../../etc/passwd"}), kind: guestpull.ErrRejected, says: "outside of the layer"},
	"absolute hard link":    {make: entry(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), kind: guestpull.ErrRejected, says: `"etc/passwd", which is not there`},
	"hard link to nothing":  {make: entry(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "missing"}), kind: guestpull.ErrRejected},
	"file below a file":     {make: entry(tar.Header{Name: "good/below", Typeflag: tar.TypeReg}), kind: guestpull.ErrRejected},
	"unknown type of entry": {make: entry(tar.Header{Name: "x", Typeflag: 'Z'}), kind: guestpull.ErrRejected},
	"bomb: a file":          {make: bomb(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o600, Size: 1 << 40}), kind: guestpull.ErrNoRoom, says: "unpacks to more than the"},
	"bomb: behind the end":  {make: bomb(nil), kind: guestpull.ErrNoRoom, says: "unpacks to more than the"},
	"bomb: memory": {
		make: func(t *testing.T, reg *testRegistry) string {
			// One frame that asks for a window of 128 MiB, with a block of one byte.
			blob := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1<<3 | 1, 0, 0, 0}
			return oneLayer(t, reg, blob, digest.FromString("what it really is"))
		},
		kind: guestpull.ErrRejected, says: "does not decompress"},
	"no archive": {
		make: func(t *testing.T, reg *testRegistry) string {
			blob := bytes.Repeat([]byte("not an archive "), 100)
			return oneLayer(t, reg, blob, digest.FromBytes(blob))
		},
		kind: guestpull.ErrRejected, says: "no tar archive"},
	"registry stalls": {
		make: func(t *testing.T, reg *testRegistry) string {
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			return answeredWith(func(w http.ResponseWriter, blob []byte) {
				write(w, blob[:len(blob)/2], len(blob))
				w.(http.Flusher).Flush()
				<-over
			})(t, reg)
		},
		opts: guestpull.Options{IdleTimeout: 300 * time.Millisecond},
		kind: guestpull.ErrRegistry, says: "silent for 300ms"},
	"registry says nothing": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, _ := harmless(t, reg)
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			reg.answers(func(http.ResponseWriter, *http.Request) bool { <-over; return true })
			return name
		},
		opts: guestpull.Options{IdleTimeout: 300 * time.Millisecond},
		kind: guestpull.ErrRegistry, says: "silent for 300ms"},
	"connection breaks": {
		make: answeredWith(func(w http.ResponseWriter, blob []byte) {
			write(w, blob[:len(blob)/2], len(blob))
			panic(http.ErrAbortHandler)
		}),
		kind: guestpull.ErrRegistry, says: "broke off"},
	"layer is cut": {
		make: answeredWith(func(w http.ResponseWriter, blob []byte) {
			w.Header().Set("Transfer-Encoding", "chunked")
			_, _ = w.Write(blob[:len(blob)/2]) // the pull is what is tested
		}),
		kind: guestpull.ErrRejected, says: "its manifest says"},
	"layer goes on": {
		make: answeredWith(func(w http.ResponseWriter, blob []byte) {
			w.Header().Set("Transfer-Encoding", "chunked")
			_, _ = w.Write(append(blob, make([]byte, 64)...)) // the pull is what is tested
		}),
		kind: guestpull.ErrRejected, says: "longer than the"},
	"registry fails": {
		make: answeredWith(func(w http.ResponseWriter, _ []byte) { http.Error(w, "no", http.StatusInternalServerError) }),
		kind: guestpull.ErrRegistry, says: "500"},
	"leads away from this machine": {
		make: answeredWith(func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("Location", "http://192.0.2.1/layer")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}),
		kind: guestpull.ErrRegistry, says: "without TLS"},
	"layer is missing": {
		make: func(t *testing.T, reg *testRegistry) string {
			name, image := harmless(t, reg)
			require.NoError(t, os.Remove(reg.path(image.Layers[1].Digest)))
			return name
		},
		kind: guestpull.ErrNoSuchImage},
	"no such image": {
		make: func(_ *testing.T, reg *testRegistry) string { return reg.host + "/nothing:1" },
		kind: guestpull.ErrNoSuchImage, says: "not found"},
}

func write(w http.ResponseWriter, b []byte, length int) {
	w.Header().Set("Content-Length", strconv.Itoa(length))
	_, _ = w.Write(b) // the pull is what is tested
}

// Whatever is served: it is refused by name, and nothing is left of it.
func TestHostileImages(t *testing.T) {
	kernel(t)
	store := newTmpfs(t, "size=24m")
	victim := filepath.Join(store, "evil")
	for name, h := range hostiles {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t, t.TempDir())
			image := h.make(t, reg)
			began := time.Now()
			_, err := guestpull.New(store, h.opts).Pull(t.Context(), image, guestpull.PullOptions{Bundle: filepath.Join(t.TempDir(), "bundle")})
			if h.kind == nil {
				h.kind = guestpull.ErrRejected
			}
			t.Log(err)
			require.ErrorIs(t, err, h.kind)
			require.ErrorContains(t, err, h.says)
			require.Less(t, time.Since(began), 10*time.Second)
			nothingLeft(t, store)
			require.NoFileExists(t, victim)
		})
	}
}

// Symbolic links may point anywhere, and what is then written through them stays
// in the layer.
func TestLinksOutOfALayer(t *testing.T) {
	kernel(t)
	outside := t.TempDir()
	reg := newRegistry(t, t.TempDir())
	b := newImage(t, reg).layer(func(l *layerBuilder) {
		l.write(tar.Header{Name: "absolute", Typeflag: tar.TypeSymlink, Linkname: outside, Mode: 0o777}, nil)
		l.write(tar.Header{Name: "relative", Typeflag: tar.TypeSymlink, Linkname: "../../../../../../../../" + outside, Mode: 0o777}, nil)
		l.file("absolute/one", "1")
		l.file("relative/two", "2")
		l.write(tar.Header{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "loop", Mode: 0o777}, nil)
	})
	b.layer(func(l *layerBuilder) { l.file("absolute/three/four", "through a link of the layer below") })
	name, _ := reg.push(t, "app:1", b.image)
	store := newTmpfs(t, "size=24m")
	image, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), name, guestpull.PullOptions{})
	require.NoError(t, err)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.FileExists(t, filepath.Join(store, "layers", strconv.Itoa(image.Layers[0].Dir), outside, "one"))
}

package guestpull_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// manner is a habit of a registry: a change to how it serves what next would.
type manner func(p *published, next http.Handler) http.Handler

// published is an image of two layers, in a list, in a registry with manners.
type published struct {
	*publisher
	list, image digest.Digest
	blobs       []digest.Digest // config and layers
	started     map[string]int  // requests, by method and path
}

func newPublished(t testing.TB, manners ...manner) *published {
	p := &published{publisher: newPublisher(t), started: map[string]int{}}
	b := newImage(t, p.reg)
	for i := range 2 {
		b.layer(func(l *layerBuilder) { l.fill(fmt.Sprint("d", i), uint64(i), 10, 200<<10) })
	}
	b.image.Config = encode(t, ocispec.Image{Platform: *platformOf("linux/amd64"), RootFS: ocispec.RootFS{Type: "layers", DiffIDs: b.image.DiffIDs}})
	_, p.image = p.reg.push(t, "app:image", b.image)
	p.blobs = append(p.blobs, digest.FromBytes(b.image.Config))
	for _, l := range b.image.Layers {
		p.blobs = append(p.blobs, l.Digest)
	}
	other := p.publisher.image("arm", "linux/arm64")
	p.list = p.publisher.list("list", p.entry(other, manifestType, "linux/arm64"), p.entry(p.image, manifestType, "linux/amd64"))
	for _, m := range manners {
		p.reg.serve(func(next http.Handler) http.Handler { return m(p, next) })
	}
	return p
}

// names are four names of the image.
func (p *published) names() []string {
	repo := p.reg.host + "/app"
	return []string{repo + ":image", repo + "@" + p.image.String(), repo + ":list", repo + "@" + p.list.String()}
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
func isBlob(r *http.Request) bool     { return strings.Contains(r.URL.Path, "/blobs/") }

// headers changes the headers of answers.
func headers(which func(*http.Request) bool, change func(h http.Header, r *http.Request)) manner {
	return func(_ *published, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) {
				w = &changed{ResponseWriter: w, change: func(h http.Header) { change(h, r) }}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// changed changes headers before they are sent.
type changed struct {
	http.ResponseWriter
	change func(http.Header)
}

func (c *changed) WriteHeader(status int) {
	if c.change != nil {
		c.change(c.Header())
	}
	c.change = nil
	c.ResponseWriter.WriteHeader(status)
}

func (c *changed) Write(b []byte) (int, error) {
	if c.change != nil {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// rewritten changes answers as a whole.
func rewritten(which func(*http.Request) bool, change func(w http.ResponseWriter, r *http.Request, header http.Header, body []byte)) manner {
	return func(_ *published, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !which(r) {
				next.ServeHTTP(w, r)
				return
			}
			kept, whole := httptest.NewRecorder(), r.Clone(r.Context())
			whole.Header.Del("Range")
			next.ServeHTTP(kept, whole)
			change(w, r, kept.Header(), kept.Body.Bytes())
		})
	}
}

// instead answers requests itself for as long as it says so.
func instead(answer func(w http.ResponseWriter, r *http.Request, time int) bool) manner {
	return func(p *published, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.reg.mu.Lock()
			key := r.Method + " " + r.URL.Path
			p.started[key]++
			n := p.started[key]
			p.reg.mu.Unlock()
			if !answer(w, r, n) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// failing answers the first times with a status.
func failing(which func(*http.Request) bool, status, times int, retryAfter string) manner {
	return instead(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if !which(r) || n > times {
			return false
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		return true
	})
}

func contentType(text string) manner {
	return headers(isManifest, func(h http.Header, _ *http.Request) {
		if h.Del("Content-Type"); text != "" {
			h.Set("Content-Type", text)
		} else {
			h["Content-Type"] = nil // and none that is guessed
		}
	})
}

func headRefused(status int) manner {
	return instead(func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodHead {
			return false
		}
		w.WriteHeader(status)
		return true
	})
}

func digestHeader(which func(*http.Request) bool, text string) manner {
	return headers(which, func(h http.Header, _ *http.Request) {
		if h.Del("Docker-Content-Digest"); text != "" {
			h.Set("Docker-Content-Digest", text)
		}
	})
}

func chunked(which func(*http.Request) bool) manner {
	return headers(which, func(h http.Header, _ *http.Request) { h.Del("Content-Length"); h.Set("Transfer-Encoding", "chunked") })
}

// encoded compresses for the transport, as asked for or not.
func encoded(which func(*http.Request) bool, encoding string) manner {
	return rewritten(which, func(w http.ResponseWriter, _ *http.Request, h http.Header, body []byte) {
		var b bytes.Buffer
		var c io.WriteCloser
		switch encoding {
		case "gzip":
			c = gzip.NewWriter(&b)
		case "zstd":
			c, _ = zstd.NewWriter(&b)
		case "deflate":
			c, _ = flate.NewWriter(&b, 1)
		}
		_, _ = c.Write(body) // into memory
		_ = c.Close()
		for key, values := range h {
			w.Header()[key] = values
		}
		w.Header().Set("Content-Encoding", encoding)
		write(w, b.Bytes(), b.Len())
	})
}

// breaking sends no more than so many bytes of a blob in one answer.
func breaking(size int, ranges bool) manner {
	return rewritten(isBlob, func(w http.ResponseWriter, r *http.Request, _ http.Header, body []byte) {
		from := 0
		if text, given := strings.CutPrefix(r.Header.Get("Range"), "bytes="); given && ranges {
			from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		if !ranges {
			// Each answer has more than the one before.
			size += 60 << 10
		}
		_, _ = w.Write(body[from:min(from+size, len(body))])
		if from+size < len(body) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
}

// leading leads to another server for what it chooses.
func leading(which func(*http.Request) bool, status int, guard func(w http.ResponseWriter, r *http.Request) (refused bool)) manner {
	return func(p *published, next http.Handler) http.Handler {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if guard == nil || !guard(w, r) {
				next.ServeHTTP(w, r)
			}
		}))
		p.t.Cleanup(server.Close)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !which(r) {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Location", server.URL+r.URL.Path+"?signature=secret")
			w.WriteHeader(status)
		})
	}
}

// withoutAuthorization is a storage service that wants its signature alone.
func withoutAuthorization(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") == "" {
		return false
	}
	http.Error(w, "only one way of authorization", http.StatusBadRequest)
	return true
}

var manners = map[string]manner{
	"manifests chunked":          chunked(isManifest),
	"all chunked":                chunked(func(*http.Request) bool { return true }),
	"HEAD 405":                   headRefused(http.StatusMethodNotAllowed),
	"HEAD 404":                   headRefused(http.StatusNotFound),
	"HEAD 403":                   headRefused(http.StatusForbidden),
	"HEAD 401":                   headRefused(http.StatusUnauthorized),
	"HEAD 500":                   headRefused(http.StatusInternalServerError),
	"no type":                    contentType(""),
	"type with parameters":       contentType(manifestType + "; charset=utf-8"),
	"type with wrong parameters": contentType(manifestType + "; charset"),
	"type is JSON":               contentType("application/json"),
	"type is text":               contentType("text/plain; charset=utf-8"),
	"type is bytes":              contentType("application/octet-stream"),
	"type is docker's":           contentType("application/vnd.docker.distribution.manifest.v2+json"),
	"type is a list's":           contentType(listType),
	"type is nonsense":           contentType("//"),
	"no digest":                  digestHeader(isManifest, ""),
	"no digest at all":           digestHeader(func(*http.Request) bool { return true }, ""),
	"odd digest":                 digestHeader(isManifest, "sha256:odd"),
	"odd digest of blobs":        digestHeader(isBlob, "W/\"1234\""),
	"digest of another":          digestHeader(isBlob, digest.FromString("another").String()),
	"type of blobs":              headers(isBlob, func(h http.Header, _ *http.Request) { h.Set("Content-Type", "text/html") }),
	"429":                        failing(isManifest, http.StatusTooManyRequests, 2, ""),
	"429 with a time":            failing(isManifest, http.StatusTooManyRequests, 1, "1"),
	"429 with a date":            failing(isBlob, http.StatusTooManyRequests, 1, time.Now().UTC().Format(http.TimeFormat)),
	"429 until next year":        failing(isManifest, http.StatusTooManyRequests, 1, "31536000"),
	"503 with a time":            failing(isBlob, http.StatusServiceUnavailable, 1, "1"),
	"408":                        failing(isManifest, http.StatusRequestTimeout, 1, ""),
	"500":                        failing(isManifest, http.StatusInternalServerError, 1, ""),
	"hangs up":                   instead(func(_ http.ResponseWriter, _ *http.Request, n int) bool { return n == 1 && hangUp() }),
	"blobs break, ranges":        breaking(50<<10, true),
	"blobs break, no ranges":     breaking(0, false),
	"blobs are elsewhere":        leading(isBlob, http.StatusTemporaryRedirect, nil),
	"blobs are elsewhere, 302":   leading(isBlob, http.StatusFound, withoutAuthorization),
	"blobs are elsewhere, 308":   leading(isBlob, http.StatusPermanentRedirect, nil),
	"manifests are elsewhere":    leading(isManifest, http.StatusTemporaryRedirect, nil),
	"all is elsewhere":           leading(func(*http.Request) bool { return true }, http.StatusMovedPermanently, nil),
	"blobs break elsewhere": func(p *published, next http.Handler) http.Handler {
		return leading(isBlob, 307, nil)(p, breaking(90<<10, true)(p, next))
	},
	"manifests as gzip":            encoded(isManifest, "gzip"),
	"manifests as zstd":            encoded(isManifest, "zstd"),
	"manifests as deflate":         encoded(isManifest, "deflate"),
	"blobs as gzip":                encoded(isBlob, "gzip"),
	"blobs as zstd":                encoded(isBlob, "zstd"),
	"layers called gzip":           headers(isBlob, func(h http.Header, _ *http.Request) { h.Set("Content-Encoding", "gzip") }),
	"manifests are among blobs":    amongBlobs,
	"asks for a token":             asksForToken("repository:app:pull", ""),
	"asks for a token, also Basic": asksForToken("", `Basic realm="app"`),
	"asks for what nobody knows":   asksForToken("", "Negotiate"),
}

func hangUp() bool { panic(http.ErrAbortHandler) }

// amongBlobs has manifests that are asked for by their digest among the blobs.
func amongBlobs(_ *published, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isManifest(r) && strings.Contains(r.URL.Path, "sha256:"):
			http.NotFound(w, r)
			return
		case isBlob(r):
			moved := r.Clone(r.Context())
			moved.URL.Path = strings.Replace(r.URL.Path, "/blobs/", "/manifests/", 1)
			kept := httptest.NewRecorder()
			if next.ServeHTTP(kept, moved); kept.Code == http.StatusOK {
				w.Header().Set("Content-Type", "application/octet-stream")
				write(w, kept.Body.Bytes(), kept.Body.Len())
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// asksForToken gives a token to everybody, and nothing without.
func asksForToken(scope, other string) manner {
	return func(p *published, next http.Handler) http.Handler {
		tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if scope != "" && !slices.Contains(r.URL.Query()["scope"], scope) {
				http.Error(w, "of another scope", http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, `{"token":"everybody's"}`)
		}))
		p.t.Cleanup(tokens.Close)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer everybody's" {
				next.ServeHTTP(w, r)
				return
			}
			if other != "" {
				w.Header().Add("WWW-Authenticate", other)
			}
			w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:app:pull"`, tokens.URL))
			w.WriteHeader(http.StatusUnauthorized)
		})
	}
}

// What containerd can do with a registry we can, and more.
func TestRegistriesAsTheyAre(t *testing.T) {
	plain := newPublished(t)
	want, err := fetch(t, plain.names()[0], guestpull.Options{Platform: "linux/amd64"})
	require.NoError(t, err)
	for name, m := range manners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublished(t, m)
			for i, image := range p.names() {
				if name == "manifests are among blobs" && i%2 == 0 {
					continue // a tag is no digest
				}
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					got, err := fetch(t, image, guestpull.Options{Platform: "linux/amd64"})
					require.NoError(t, err, image)
					require.True(t, same(want, got), image)
					require.Equal(t, p.image, got.Digest)
				})
			}
		})
	}
}

// Several habits at once: where containerd succeeds we do, with the same bytes.
func TestRegistriesAsContainerdAsksThem(t *testing.T) {
	names := slices.Sorted(maps.Keys(manners))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "429 until next year" }) // takes long
	var theirs, ours atomic.Int32
	t.Run("all", func(t *testing.T) {
		for seed := range registries() {
			random := rand.New(rand.NewPCG(16, uint64(seed)))
			var chosen []string
			var these []manner
			for range 1 + random.IntN(3) {
				name := names[random.IntN(len(names))]
				chosen, these = append(chosen, name), append(these, manners[name])
			}
			t.Run(fmt.Sprint(seed, " ", chosen), func(t *testing.T) {
				t.Parallel()
				i := random.IntN(4)
				got, theirErr := byContainerd(t, newPublished(t, these...).names()[i], "linux/amd64", nil)
				own, err := fetch(t, newPublished(t, these...).names()[i], guestpull.Options{Platform: "linux/amd64"})
				if theirErr == nil {
					theirs.Add(1)
					require.NoError(t, err)
					require.True(t, same(got, own))
				}
				if err == nil {
					ours.Add(1)
				}
			})
		}
	})
	t.Logf("of %d registries containerd can pull from %d, we from %d", registries(), theirs.Load(), ours.Load())
	require.Greater(t, int(theirs.Load()), registries()/8)
}

// registries is how many registries with habits a test makes.
func registries() int { return lists() / 4 }

// docker's own types, in lists and out of them.
func TestDockersTypes(t *testing.T) {
	p := newPublished(t)
	const dockerManifest, dockerList = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"
	config := ocispec.Descriptor{MediaType: "application/vnd.docker.container.image.v1+json", Digest: p.blobs[0], Size: int64(len(p.reg.read(t, p.blobs[0])))}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: dockerManifest, Config: config}
	for _, d := range p.blobs[1:] {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", Digest: d, Size: int64(len(p.reg.read(t, d)))})
	}
	image := p.document("docker", dockerManifest, m)
	for _, listed := range []string{dockerManifest, manifestType} {
		list := p.document("", dockerList, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: dockerList,
			Manifests: []ocispec.Descriptor{p.entry(image, listed, "linux/amd64")}})
		for _, name := range []string{":docker", "@" + image.String(), "@" + list.String()} {
			got, err := fetch(t, p.reg.host+"/app"+name, guestpull.Options{Platform: "linux/amd64"})
			require.NoError(t, err)
			require.Equal(t, image, got.Digest)
		}
	}
}

// Content that descriptors bring along, and layers that are only elsewhere.
func TestContentThatIsElsewhere(t *testing.T) {
	p := newPublished(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, p.reg.path(digest.Digest(strings.TrimPrefix(r.URL.Path, "/"))))
	}))
	t.Cleanup(server.Close)
	config := p.reg.read(t, p.blobs[0])
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifestType,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: p.blobs[0], Size: int64(len(config)), Data: config}}
	for i, d := range p.blobs[1:] {
		l := ocispec.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: d, Size: int64(len(p.reg.read(t, d)))}
		if i == 0 {
			l.Data = p.reg.read(t, d)
		} else {
			l.URLs = []string{"not an address", server.URL + "/missing", server.URL + "/" + d.String()}
		}
		m.Layers = append(m.Layers, l)
	}
	image := p.document("elsewhere", manifestType, m)
	want, err := fetch(t, p.reg.host+"/app@"+p.image.String(), guestpull.Options{})
	require.NoError(t, err)
	p.reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r) {
			http.NotFound(w, r)
		}
		return isBlob(r)
	})
	got, err := fetch(t, p.reg.host+"/app@"+image.String(), guestpull.Options{})
	require.NoError(t, err)
	require.True(t, same(want, got))
}

// A whole pull from a registry that says no lengths, and whose blobs break off and
// are elsewhere.
func TestPullFromARegistryAsItIs(t *testing.T) {
	kernel(t)
	p := newPublished(t, manners["manifests chunked"], manners["blobs break elsewhere"])
	got, err := guestpull.New(newTmpfs(t, "size=16m"), guestpull.Options{Platform: "linux/amd64"}).Pull(t.Context(), p.names()[2], guestpull.PullOptions{})
	require.NoError(t, err)
	require.Equal(t, p.image, got.Digest)
}

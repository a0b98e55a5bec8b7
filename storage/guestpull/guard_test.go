package guestpull_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

func TestPlaces(t *testing.T) {
	for where, addresses := range map[string]string{
		"on the internet":      "192.0.2.1 8.8.8.8 172.32.0.1 100.128.0.1 2001:db8::1 2a00::1 64:ff9b::808:808",
		"in a private network": "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.100.100.200 fc00::1 fd00:ec2::254 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1",
		"on this machine":      "127.0.0.1 127.255.0.1 0.0.0.0 0.1.2.3 ::1 :: ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
		"on the local link":    "169.254.169.254 fe80::1 fe80::1%eth0 ::ffff:169.254.1.1 64:ff9b::a9fe:a9fe 224.0.0.1 ff02::1 255.255.255.255 168.63.129.16 192.0.0.192",
	} {
		for text := range strings.FieldsSeq(addresses) {
			require.Equal(t, where, guestpull.PlaceOf(netip.MustParseAddr(text)), text)
		}
	}
}

// A registry on this machine may lead to others here, and not to what only clouds
// answer, nor away without TLS.
func TestWhereThisMachineLeads(t *testing.T) {
	for to, says := range map[string]string{
		"http://192.0.2.1/x":                  "leads to 192.0.2.1, which is without TLS",
		"http://10.0.0.1/x":                   "leads to 10.0.0.1, which is without TLS",
		"http://169.254.169.254/latest":       "leads to 169.254.169.254, which is without TLS",
		"https://169.254.169.254/latest":      "leads to 169.254.169.254, on the local link: a registry on this machine must not",
		"https://[fe80::1]/x":                 "leads to fe80::1, on the local link",
		"https://[::ffff:169.254.169.254]/x":  "on the local link",
		"https://168.63.129.16/metadata":      "on the local link",
		"ftp://127.0.0.1/x":                   "without TLS",
		"file:///etc/passwd":                  "without TLS",
		"http://user:s3cr3t@192.0.2.1/x?y=s3": "leads to 192.0.2.1",
	} {
		for _, which := range []func(*http.Request) bool{isManifest, isBlob} {
			reg := newRegistry(t, t.TempDir())
			name, _ := reg.push(t, "app:1", newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
			reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if !which(r) {
					return false
				}
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusFound)
				return true
			})
			_, err := fetch(t, name, guestpull.Options{})
			require.ErrorIs(t, err, guestpull.ErrRegistry, to)
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "s3cr3t")
		}
	}
}

func TestEndlessLeads(t *testing.T) {
	reg := newRegistry(t, t.TempDir())
	asked := 0
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		asked++
		http.Redirect(w, r, fmt.Sprint(r.URL.Path, asked), http.StatusFound)
		return true
	})
	_, err := fetch(t, reg.host+"/app:1", guestpull.Options{})
	require.ErrorIs(t, err, guestpull.ErrRegistry)
	require.ErrorContains(t, err, "leads on and on")
	require.Equal(t, 10, asked)
}

// secretService is what only this guest can reach.
type secretService struct {
	asked atomic.Int32
	text  []byte
}

func (s *secretService) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.asked.Add(1)
	_, _ = w.Write(s.text) // the pull is what is tested
}

// registryAt is an image in a registry with TLS at an address.
func registryAt(t *testing.T, address string) (reg *testRegistry, name string, image testImage) {
	t.Helper()
	reg = newRegistry(t, t.TempDir())
	b := newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") })
	reg.push(t, "app:1", b.image)
	reg.push(t, "app:foreign", b.image)
	url := serveAt(t, address, http.HandlerFunc(reg.handle), address)
	return reg, strings.TrimPrefix(url, "https://") + "/app:1", b.image
}

// ways are how a registry leads elsewhere.
var ways = map[string]func(t *testing.T, reg *testRegistry, image testImage, to string) (tag string){
	"manifest": leadsAt(isManifest),
	"blob":     leadsAt(isBlob),
	"token": func(_ *testing.T, reg *testRegistry, _ testImage, to string) string {
		reg.answers(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+to+`",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		return "1"
	},
	"layer's URL": func(t *testing.T, reg *testRegistry, image testImage, to string) string {
		l := image.Layers[0]
		l.Digest = digest.FromString("missing")
		l.URLs = []string{to}
		config := reg.blob(t, ocispec.MediaTypeImageConfig, encode(t, ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: image.DiffIDs}}))
		reg.pushManifest(t, "app:foreign", manifestType, encode(t, ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: config, Layers: []ocispec.Descriptor{l}}))
		return "foreign"
	},
}

func leadsAt(which func(*http.Request) bool) func(*testing.T, *testRegistry, testImage, string) string {
	return func(_ *testing.T, reg *testRegistry, _ testImage, to string) string {
		reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if !which(r) {
				return false
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		})
		return "1"
	}
}

// No registry elsewhere makes this guest ask what is in it, or near it: whatever way
// it leads, however the address is written, and whatever a name resolves to.
func TestNoRegistryLeadsInside(t *testing.T) {
	inNetwork(t)
	secret := &secretService{text: []byte("secret")}
	plain := serveAt(t, "127.0.0.1", secret)
	inside := portOf(serveAt(t, "127.0.0.1", secret, "127.0.0.1", "localhost", "inside.test"))
	private := portOf(serveAt(t, privateAddress, secret, privateAddress, "private.test"))
	nearby := []string{plain, "http://inside.test:" + portOf(plain), "https://127.0.0.1:" + inside, "https://localhost:" + inside, "https://inside.test:" + inside,
		"https://0.0.0.0:" + inside, "https://[::ffff:127.0.0.1]:" + inside, "https://[::1]:" + inside, "https://169.254.169.254/"}
	for home, forbidden := range map[string][]string{
		publicAddress:  append([]string{"https://" + privateAddress + ":" + private, "https://private.test:" + private}, nearby...),
		privateAddress: nearby,
	} {
		for way, lead := range ways {
			for _, to := range forbidden {
				t.Run(home+" by "+way+" to "+to, func(t *testing.T) {
					reg, name, image := registryAt(t, home)
					tag := lead(t, reg, image, to+"/x")
					_, err := fetch(t, strings.TrimSuffix(name, "1")+tag, guestpull.Options{})
					require.ErrorIs(t, err, guestpull.ErrRegistry)
					require.Regexp(t, "it leads to .*(must not|without TLS)", err.Error())
					require.Zero(t, secret.asked.Load())
				})
			}
		}
	}
}

// By way of another server a registry leads no further.
func TestNoRegistryLeadsInsideByStages(t *testing.T) {
	inNetwork(t)
	secret := &secretService{text: []byte("secret")}
	inside := serveAt(t, "127.0.0.1", secret, "127.0.0.1")
	stage := serveAt(t, otherPublic, http.RedirectHandler(inside, http.StatusFound), otherPublic)
	reg, name, image := registryAt(t, publicAddress)
	ways["blob"](t, reg, image, stage)
	_, err := fetch(t, name, guestpull.Options{})
	require.ErrorContains(t, err, "a registry on the internet must not")
	require.Zero(t, secret.asked.Load())
}

// Where a registry may lead: to the internet, and to its own kind of place.
func TestWhereRegistriesLead(t *testing.T) {
	inNetwork(t)
	for home, storage := range map[string][]string{publicAddress: {publicAddress, otherPublic, "other.test"}, privateAddress: {privateAddress, otherPrivate, otherPublic}} {
		for _, at := range storage {
			reg, name, image := registryAt(t, home)
			address := map[string]string{"other.test": otherPublic}[at]
			if address == "" {
				address = at
			}
			url := serveAt(t, address, http.HandlerFunc(reg.handle), at)
			url = "https://" + at + ":" + portOf(url)
			reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlob(r) || strings.HasPrefix(url, "https://"+r.Host) {
					return false
				}
				http.Redirect(w, r, url+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			})
			got, err := fetch(t, name, guestpull.Options{})
			require.NoError(t, err, "%s to %s", home, at)
			require.Len(t, got.Layers, len(image.Layers))
		}
	}
}

// What another than the registry answered is nobody's business: no digest, no size
// and no text of it is in the error.
func TestAnswersOfOthers(t *testing.T) {
	for name, text := range map[string]string{"shorter": "s3cr3t", "longer": strings.Repeat("s3cr3t", 1000), "JSON": `{"s3cr3t":1}`, "like the layer": ""} {
		for what, which := range map[string]func(*http.Request) bool{"manifest": isManifest, "blob": isBlob} {
			for _, status := range []int{200, 404, 500, 401} {
				t.Run(fmt.Sprint(name, " ", what, " ", status), func(t *testing.T) {
					t.Parallel() // each waits between its attempts
					reg := newRegistry(t, t.TempDir())
					b := newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", "x") })
					image, d := reg.push(t, "app:1", b.image)
					answer := []byte(text)
					if text == "" {
						answer = make([]byte, b.image.Layers[0].Size)
					}
					server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.WriteHeader(status)
						_, _ = w.Write(answer) // the pull is what is tested
					}))
					defer server.Close()
					reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
						if which(r) {
							http.Redirect(w, r, server.URL, http.StatusFound)
						}
						return which(r)
					})
					for _, asked := range []string{image, reg.host + "/app@" + d.String()} {
						_, err := fetch(t, asked, guestpull.Options{})
						require.Error(t, err)
						sum := sha256.Sum256(answer)
						for _, hidden := range []string{hex.EncodeToString(sum[:]), "s3cr3t", strconv.Itoa(len(answer)) + " bytes"} {
							if text != "" || !strings.HasSuffix(hidden, "bytes") {
								require.NotContains(t, err.Error(), hidden)
							}
						}
					}
				})
			}
		}
	}
}

// A whole pull from a registry that leads inside leaves nothing, and tells nothing.
func TestPullThatLeadsInside(t *testing.T) {
	inNetwork(t)
	kernel(t)
	secret := &secretService{text: []byte("secret")}
	plain := serveAt(t, "127.0.0.1", secret)
	store := newTmpfs(t, "size=16m")
	for way, lead := range ways {
		reg, name, image := registryAt(t, publicAddress)
		tag := lead(t, reg, image, plain)
		_, err := guestpull.New(store, guestpull.Options{}).Pull(t.Context(), strings.TrimSuffix(name, "1")+tag, guestpull.PullOptions{})
		require.ErrorIs(t, err, guestpull.ErrRegistry, way)
		require.ErrorContains(t, err, "without TLS", way)
		require.Zero(t, secret.asked.Load(), way)
		nothingLeft(t, store)
	}
}

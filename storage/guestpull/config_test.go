package guestpull_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// pushed is an image with one small file.
func pushed(t *testing.T, reg *testRegistry, name string) (full string) {
	t.Helper()
	full, _ = reg.push(t, name, newImage(t, reg).layer(func(l *layerBuilder) { l.file("f", name) }).image)
	return full
}

// cdhFile is a file for [guestpull.ReadConfig].
func cdhFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cdh.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func applied(t *testing.T, text string, o guestpull.Options) guestpull.Options {
	t.Helper()
	c, err := guestpull.ReadConfig(cdhFile(t, text))
	require.NoError(t, err)
	require.Empty(t, c.Unknown)
	require.NoError(t, c.Apply(&o))
	return o
}

// What a registries.conf says: other locations, mirrors in their order, the longest
// prefix, what is blocked; as a file, in cdh.toml, and from the key service.
func TestRegistriesConf(t *testing.T) {
	home, mirror := newRegistry(t, t.TempDir()), newRegistry(t, t.TempDir())
	pushed(t, home, "real/app:1")
	pushed(t, home, "real/only-here:1")
	pushed(t, mirror, "copy/app:1")
	text := `unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "registry.example/team"
location = "` + home.host + `/real"
[[registry.mirror]]
location = "` + mirror.host + `/copy"
[[registry]]
prefix = "registry.example/team/secret"
blocked = true
`
	k := &keeper{resources: map[string][]byte{"kbs:///default/registry-configuration/test": []byte(text)}}
	file := cdhFile(t, text)
	inline := "[image.registry_config]\n" + strings.NewReplacer("[[registry", "[[image.registry_config.registry").Replace(text)
	for way, o := range map[string]guestpull.Options{
		"path":        {Registries: guestpull.Source{URI: file}},
		"file":        {Registries: guestpull.Source{URI: "file://" + file}},
		"key service": {Registries: guestpull.Source{URI: "kbs:///default/registry-configuration/test"}, KeyService: k.start(t)},
		"cdh.toml":    applied(t, inline, guestpull.Options{}),
		"its URI":     applied(t, "[image]\nregistry_configuration_uri = \"file://"+file+"\"\n", guestpull.Options{}),
	} {
		asked, atHome := mirror.count("copy/app"), home.count("real/")
		_, err := fetch(t, "registry.example/team/app:1", o)
		require.NoError(t, err, way)
		require.Greater(t, mirror.count("copy/app"), asked, way)
		require.Equal(t, atHome, home.count("real/"), "%s: the mirror has it", way)
		_, err = fetch(t, "registry.example/team/only-here:1", o)
		require.NoError(t, err, way)
		_, err = fetch(t, "registry.example/team/secret:1", o)
		require.ErrorIs(t, err, guestpull.ErrBlocked, way)
		require.ErrorContains(t, err, "registry.example/team/secret", way)
		_, err = fetch(t, "registry.example/team/none:1", o)
		require.ErrorIs(t, err, guestpull.ErrNoSuchImage, way)
		require.ErrorContains(t, err, mirror.host+"/copy/none", way)
		require.ErrorContains(t, err, home.host+"/real/none", way)
		_, err = fetch(t, home.host+"/real/app:1", o)
		require.NoError(t, err, "%s: nothing is said of it", way)
	}
}

// count is how often what has part in its path was asked for.
func (reg *testRegistry) count(part string) (n int) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	for path, times := range reg.asked {
		if strings.Contains(path, part) {
			n += times
		}
	}
	return n
}

// A mirror for digests alone is not asked for a tag; a mirror that lies is passed by.
func TestMirrorsAreNotTrusted(t *testing.T) {
	home, mirror := newRegistry(t, t.TempDir()), newRegistry(t, t.TempDir())
	full, d := home.push(t, "app:1", newImage(t, home).layer(func(l *layerBuilder) { l.file("f", "x") }).image)
	pushed(t, mirror, "app:1")
	o := guestpull.Options{Registries: guestpull.Source{Text: []byte(`[[registry]]
location = "` + home.host + `"
[[registry.mirror]]
location = "` + mirror.host + `"
pull-from-mirror = "digest-only"
`)}}
	before := mirror.count("app")
	got, err := fetch(t, full, o)
	require.NoError(t, err)
	require.Equal(t, d, got.Digest)
	require.Equal(t, before, mirror.count("app"))
	mirror.answers(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = w.Write([]byte("{}"))
		return true
	})
	got, err = fetch(t, home.host+"/app@"+d.String(), o)
	require.NoError(t, err)
	require.Equal(t, d, got.Digest)
	require.Greater(t, mirror.count("app"), before)
}

func TestWrongRegistriesConf(t *testing.T) {
	for name, text := range map[string]string{
		"no TOML": "[[registry", "version 1": "[registries.block]\nregistries = ['x']\n", "no location": "[[registry]]\nblocked = true\n",
	} {
		_, err := fetch(t, "registry.example/app:1", guestpull.Options{Registries: guestpull.Source{Text: []byte(text)}})
		require.ErrorIs(t, err, storage.ErrInvalid, name)
		require.ErrorContains(t, err, "registries.conf", name)
	}
	_, err := fetch(t, "registry.example/app:1", guestpull.Options{Registries: guestpull.Source{URI: "kbs:///a/b/c"}})
	require.ErrorContains(t, err, "no key service is known")
}

// tunnel is a proxy for TLS that takes every name for one server.
func tunnel(t *testing.T, to string) (url string, used *atomic.Int32) {
	t.Helper()
	used = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		used.Add(1)
		far, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = near.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() { _, _ = io.Copy(far, near); far.Close() }()
		go func() { _, _ = io.Copy(near, far); near.Close() }()
	}))
	t.Cleanup(server.Close)
	return server.URL, used
}

// secureRegistry serves with the certificate of net/http/httptest, for example.com.
func secureRegistry(t *testing.T) (address, certificate string) {
	t.Helper()
	reg := newRegistry(t, t.TempDir())
	pushed(t, reg, "app:1")
	server := httptest.NewTLSServer(http.HandlerFunc(reg.handle))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// A registry behind a proxy, with a certificate that the system does not know: it is
// trusted where the configuration says so, for that host alone or for all.
func TestProxyAndCertificates(t *testing.T) {
	address, certificate := secureRegistry(t)
	proxy, used := tunnel(t, address)
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	o := guestpull.Options{Proxy: &guestpull.Proxy{HTTPS: proxy}}
	_, err := fetch(t, "example.com/app:1", o)
	require.ErrorIs(t, err, guestpull.ErrRegistry)
	require.ErrorContains(t, err, "certificate")
	require.Positive(t, used.Load())

	dir := t.TempDir()
	for host, trusted := range map[string]bool{"example.com": true, "other.example": false} {
		o.CertDir = filepath.Join(dir, host)
		require.NoError(t, os.MkdirAll(filepath.Join(o.CertDir, host), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(o.CertDir, host, "ca.crt"), []byte(certificate), 0o644))
		_, err = fetch(t, "example.com/app:1", o)
		require.Equal(t, trusted, err == nil, "%v", err)
	}
	config := "[image]\nextra_root_certificates = ['''\n" + certificate + "''']\n[image.image_pull_proxy]\nhttps_proxy = \"" + proxy + "\"\n"
	_, err = fetch(t, "example.com/app:1", applied(t, config, guestpull.Options{}))
	require.NoError(t, err)
	before := used.Load()
	// The address is one that nobody has: that it is tried is what counts.
	_, err = fetch(t, "192.0.2.1:9/app:1", applied(t, config+"no_proxy = \"192.0.2.1\"\n", guestpull.Options{IdleTimeout: 1}))
	require.ErrorIs(t, err, guestpull.ErrRegistry)
	require.Equal(t, before, used.Load())
	for _, wrong := range []guestpull.Options{{RootCertificates: []string{"no certificate"}}, {CertDir: filepath.Join(dir, "none")}} {
		_, err = fetch(t, "example.com/app:1", wrong)
		require.ErrorIs(t, err, storage.ErrInvalid)
	}
}

// An insecure registry is asked with TLS first, and then without. Where nothing says
// so a certificate that nobody knows is not accepted.
func TestInsecureRegistry(t *testing.T) {
	address, _ := secureRegistry(t)
	plain := newRegistry(t, t.TempDir())
	pushed(t, plain, "app:1")
	for _, host := range []string{address, plain.host} {
		o := guestpull.Options{Registries: guestpull.Source{Text: []byte("[[registry]]\nprefix = \"registry.example\"\nlocation = \"" + host + "\"\ninsecure = true\n")}}
		_, err := fetch(t, "registry.example/app:1", o)
		require.NoError(t, err)
		_, err = fetch(t, "registry.example/none:1", o)
		require.ErrorContains(t, err, "not found")
	}
}

// A registry that refuses credentials may have the image for everybody.
func TestAnonymousFallback(t *testing.T) {
	reg := newRegistry(t, t.TempDir())
	full := pushed(t, reg, "app:1")
	reg.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" && r.URL.Path == "/v2/app/manifests/1" && reg.count("manifests/1") < 3 {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	auth := filepath.Join(t.TempDir(), "auth.json")
	require.NoError(t, os.WriteFile(auth, encode(t, map[string]any{"auths": map[string]any{reg.host: basic("me", "expired")}}), 0o600))
	_, err := fetch(t, full, guestpull.Options{AuthFile: auth})
	require.ErrorIs(t, err, guestpull.ErrUnauthorized)
	_, err = fetch(t, full, applied(t, "[image]\nauthenticated_registry_credentials_uri = \"file://"+auth+"\"\nanonymous_fallback_on_unauthorized = true\n", guestpull.Options{}))
	require.NoError(t, err)
}

// A whole cdh.toml is read; what is unknown in it is named; flags come first.
func TestConfig(t *testing.T) {
	c, err := guestpull.ReadConfig("testdata/cdh.toml")
	require.NoError(t, err)
	require.Equal(t, []string{"image.from_tomorrow", "image.later", "new"}, c.Unknown)
	require.Equal(t, "/run/image-rs", c.WorkDir)
	o := guestpull.Options{ParallelLayers: 5}
	require.NoError(t, c.Apply(&o))
	require.Equal(t, 5, o.ParallelLayers)
	require.Equal(t, "kbs:///default/credential/test", o.AuthFile)
	require.Equal(t, "kbs:///default/registry-configuration/test", o.Registries.URI)
	require.Equal(t, "kbs:///default/security-policy/test", o.Policy.URI)
	require.Equal(t, "kbs:///default/sigstore-config/test", o.Signatures.URI)
	require.Equal(t, &guestpull.Proxy{HTTPS: "http://127.0.0.1:5432", HTTP: "http://127.0.0.1:5433", No: "192.168.0.1,localhost"}, o.Proxy)
	require.Len(t, o.RootCertificates, 1)
	many, err := guestpull.ReadConfig(cdhFile(t, "[image]\nmax_concurrent_layer_downloads_per_image = 4000\n"))
	require.NoError(t, err)
	o = guestpull.Options{}
	require.NoError(t, many.Apply(&o))
	require.Equal(t, 8, o.ParallelLayers, "memory is bounded")
	for text, says := range map[string]string{
		"[image": "line 1",
		"[image]\nmax_concurrent_layer_downloads_per_image = 0\n": "expected 1 to 8",
		"[image]\nextra_root_certificates = 7\n":                  "extra_root_certificates",
	} {
		_, err := guestpull.ReadConfig(cdhFile(t, text))
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.ErrorContains(t, err, says)
	}
	_, err = guestpull.ReadConfig("/none/cdh.toml")
	require.ErrorContains(t, err, "/none/cdh.toml")
}

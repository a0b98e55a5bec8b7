package guestpull_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// signer makes signatures, as podman and cosign do, and is named in policies.
type signer interface {
	// sign puts a signature of a name and a digest beside an image, in the repository app.
	sign(t *testing.T, reg *testRegistry, image, d digest.Digest, name string)
	// requirement is that of a policy, with one of the ways to say where the key is.
	requirement(way, value string) map[string]any
	key() []byte
}

// podmanSigner keeps its signatures in a directory.
type podmanSigner struct {
	entity *openpgp.Entity
	dir    string
}

func newPodmanSigner(t *testing.T, dir string) *podmanSigner {
	t.Helper()
	entity, err := openpgp.NewEntity("of tests", "", "test@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	require.NoError(t, err)
	return &podmanSigner{entity, dir}
}

func signedText(kind, name string, d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"type":%q,"image":{"docker-manifest-digest":%q},"identity":{"docker-reference":%q}},"optional":{"creator":"test"}}`, kind, d, name)
}

func (s *podmanSigner) sign(t *testing.T, _ *testRegistry, image, d digest.Digest, name string) {
	t.Helper()
	var b bytes.Buffer
	w, err := openpgp.Sign(&b, s.entity, nil, nil)
	require.NoError(t, err)
	_, err = w.Write(signedText("atomic container signature", name, d))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	dir := filepath.Join(s.dir, "app@sha256="+image.Encoded())
	require.NoError(t, os.MkdirAll(dir, 0o755))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("signature-", len(entries)+1)), b.Bytes(), 0o644))
}

func (s *podmanSigner) key() []byte {
	var b bytes.Buffer
	if err := s.entity.Serialize(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (s *podmanSigner) requirement(way, value string) map[string]any {
	return map[string]any{"type": "signedBy", "keyType": "GPGKeys", way: value}
}

type cosignSigner struct{ private *ecdsa.PrivateKey }

func newCosignSigner(t *testing.T) *cosignSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &cosignSigner{key}
}

func (s *cosignSigner) sign(t *testing.T, reg *testRegistry, image, d digest.Digest, name string) {
	t.Helper()
	name = name[:strings.LastIndexAny(name, ":")] // cosign signs no tag
	text := bytes.Replace(signedText("cosign container image signature", name, d), []byte(`{"creator":"test"}`), []byte("null"), 1)
	hash := sha256.Sum256(text)
	raw, err := ecdsa.SignASN1(rand.Reader, s.private, hash[:])
	require.NoError(t, err)
	layer := reg.blob(t, "application/vnd.dev.cosign.simplesigning.v1+json", text)
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(raw), "long": strings.Repeat("x", 6000)}
	reg.pushManifest(t, "app:sha256-"+image.Encoded()+".sig", ocispec.MediaTypeImageManifest, encode(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: reg.blob(t, ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{layer}}))
}

func (s *cosignSigner) key() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.private.Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (s *cosignSigner) requirement(way, value string) map[string]any {
	return map[string]any{"type": "sigstoreSigned", way: value}
}

// policyOf rejects all but what the requirements of the scope allow.
func policyOf(t *testing.T, scope string, requirements ...map[string]any) guestpull.Source {
	t.Helper()
	return guestpull.Source{Text: encode(t, map[string]any{"default": []any{map[string]any{"type": "reject"}},
		"transports": map[string]any{"docker": map[string]any{scope: requirements}}})}
}

// signedWorld is a registry with an image, and places for signatures.
type signedWorld struct {
	reg    *testRegistry
	name   string
	d      digest.Digest
	layers []digest.Digest
	sites  guestpull.Source
	dir    string
}

func newSignedWorld(t *testing.T) *signedWorld {
	t.Helper()
	w := &signedWorld{reg: newRegistry(t, t.TempDir()), dir: t.TempDir()}
	w.name, w.d, w.layers = w.push(t, "app:1", "first")
	server := httptest.NewServer(http.FileServer(http.Dir(w.dir)))
	t.Cleanup(server.Close)
	w.sites = guestpull.Source{Text: []byte("docker:\n  " + w.reg.host + ":\n    sigstore: " + server.URL + "\ndefault-docker:\n  lookaside: file:///none\n")}
	return w
}

func (w *signedWorld) push(t *testing.T, name, text string) (string, digest.Digest, []digest.Digest) {
	t.Helper()
	b := newImage(t, w.reg).layer(func(l *layerBuilder) { l.file("f", text) })
	full, d := w.reg.push(t, name, b.image)
	var layers []digest.Digest
	for _, l := range b.image.Layers {
		layers = append(layers, l.Digest)
	}
	return full, d, layers
}

// Signed by the right key an image is pulled. By a wrong key, without a signature,
// with another image's or an old one's, under another name: refused, and no layer
// was asked for.
func TestPolicySignatures(t *testing.T) {
	for scheme, make := range map[string]func(dir string) signer{
		"simple signing": func(dir string) signer { return newPodmanSigner(t, dir) },
		"cosign":         func(string) signer { return newCosignSigner(t) },
	} {
		t.Run(scheme, func(t *testing.T) {
			w := newSignedWorld(t)
			right, wrong := make(w.dir), make(w.dir)
			_, old, _ := w.push(t, "app:old", "old")
			o := guestpull.Options{Signatures: w.sites, Policy: policyOf(t, w.reg.host, right.requirement("keyData", base64.StdEncoding.EncodeToString(right.key())))}
			refused := func(says string) {
				t.Helper()
				for _, name := range []string{w.name, w.reg.host + "/app@" + w.d.String()} {
					_, err := fetch(t, name, o)
					require.ErrorIs(t, err, guestpull.ErrBlocked)
					require.ErrorContains(t, err, says)
				}
				for _, l := range w.layers {
					require.Zero(t, w.reg.timesAsked(l), "a layer was asked for")
				}
			}
			refused("there is no signature")
			wrong.sign(t, w.reg, w.d, w.d, w.name)
			refused("a key that the policy does not have")
			clean(t, w)
			right.sign(t, w.reg, w.d, old, w.name)
			refused("not of this image")
			clean(t, w)
			right.sign(t, w.reg, w.d, w.d, w.reg.host+"/other:1")
			refused("with the name")
			right.sign(t, w.reg, w.d, w.d, w.name)
			for _, name := range []string{w.name, w.reg.host + "/app@" + w.d.String()} {
				got, err := fetch(t, name, o)
				require.NoError(t, err)
				require.Len(t, got.Verified, 1)
				require.Equal(t, w.d, got.Verified[0].Digest)
				require.Equal(t, w.reg.host, got.Verified[0].Scope)
				require.NotEmpty(t, got.Verified[0].Key)
			}
		})
	}
}

// clean takes the simple signatures away; those of cosign are replaced anyway.
func clean(t *testing.T, w *signedWorld) {
	t.Helper()
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "app@sha256="+w.d.Encoded())))
}

// A signature of the list that a name stands for is one of each image in it.
func TestPolicySignatureOfAList(t *testing.T) {
	w := newSignedWorld(t)
	w.reg.pushIndex(t, "app:list", map[string]string{"amd64": w.d.String()})
	s := newCosignSigner(t)
	o := guestpull.Options{Platform: "linux/amd64", Policy: policyOf(t, w.reg.host+"/app", s.requirement("keyData", base64.StdEncoding.EncodeToString(s.key())))}
	_, err := fetch(t, w.reg.host+"/app:list", o)
	require.ErrorIs(t, err, guestpull.ErrBlocked)
	answer, err := http.Get("http://" + w.reg.host + "/v2/app/manifests/list")
	require.NoError(t, err)
	list := digest.Digest(answer.Header.Get("Docker-Content-Digest"))
	require.NoError(t, answer.Body.Close())
	s.sign(t, w.reg, list, list, w.reg.host+"/app:list")
	got, err := fetch(t, w.reg.host+"/app:list", o)
	require.NoError(t, err)
	require.Equal(t, list, got.Verified[0].Digest)
	require.Equal(t, w.d, got.Digest)
}

// Policy, keys and the places of signatures come from files, cdh.toml and the key
// service alike; a key that cannot be had is no reason to pull.
func TestPolicySources(t *testing.T) {
	w := newSignedWorld(t)
	s, p := newCosignSigner(t), newPodmanSigner(t, w.dir)
	s.sign(t, w.reg, w.d, w.d, w.name)
	p.sign(t, w.reg, w.d, w.d, w.name)
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		return filepath.Join(dir, name)
	}
	policy := policyOf(t, w.reg.host, s.requirement("keyPath", "kbs:///default/key/cosign"), p.requirement("keyPath", write("key.gpg", p.key()))).Text
	k := &keeper{resources: map[string][]byte{"kbs:///default/key/cosign": s.key(), "kbs:///default/policy/1": policy, "kbs:///default/sites/1": w.sites.Text}}
	socket := k.start(t)
	for way, config := range map[string]string{
		"files":       "image_security_policy_uri = \"file://" + write("policy.json", policy) + "\"\nsigstore_config_uri = \"" + write("sites.yaml", w.sites.Text) + "\"\n",
		"inline":      "image_security_policy = '''" + string(policy) + "'''\nsigstore_config = '''" + string(w.sites.Text) + "'''\n",
		"key service": "image_security_policy_uri = \"kbs:///default/policy/1\"\nsigstore_config_uri = \"kbs:///default/sites/1\"\n",
	} {
		o := applied(t, "[image]\n"+config, guestpull.Options{KeyService: socket})
		got, err := fetch(t, w.name, o)
		require.NoError(t, err, way)
		require.Len(t, got.Verified, 2, way)
		_, err = fetch(t, "registry.example/app:1", o)
		require.ErrorIs(t, err, guestpull.ErrBlocked, way)
	}
	delete(k.resources, "kbs:///default/key/cosign")
	_, err := fetch(t, w.name, guestpull.Options{KeyService: socket, Policy: guestpull.Source{Text: policy}})
	require.ErrorContains(t, err, "kbs:///default/key/cosign")
	_, err = guestpull.ReadConfig(cdhFile(t, "[image]\nimage_security_policy = \"\"\n"))
	require.ErrorIs(t, err, storage.ErrInvalid)
}

// A policy without signatures: digests and registries that are allowed, all else is
// refused before anybody is asked.
func TestPolicyScopes(t *testing.T) {
	w := newSignedWorld(t)
	anything := map[string]any{"type": "insecureAcceptAnything"}
	pinned := w.reg.host + "/app@" + w.d.String()
	for scope, allowed := range map[string][2]bool{ // of the tag, and of the digest
		pinned: {false, true}, w.name: {true, false}, w.reg.host + "/app": {true, true}, w.reg.host: {true, true}, "": {true, true}, "registry.example": {false, false},
	} {
		for i, name := range []string{w.name, pinned} {
			before := w.reg.count("manifests")
			_, err := fetch(t, name, guestpull.Options{Policy: policyOf(t, scope, anything)})
			if allowed[i] {
				require.NoError(t, err, "%s, %s", scope, name)
				continue
			}
			require.ErrorIs(t, err, guestpull.ErrBlocked, "%s, %s", scope, name)
			require.Equal(t, before, w.reg.count("manifests"))
		}
	}
	for text, says := range map[string]string{
		"":                               "no JSON",
		`{}`:                             "default",
		`{"default":[]}`:                 "at least one",
		`{"default":[{"type":"later"}]}`: "later",
		`{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}`:                           "twice",
		`{"default":[{"type":"insecureAcceptAnything"}],"Transports":{}}`:                                         "Transports",
		`{"default":[{"type":"sigstoreSigned","fulcio":{}}]}`:                                                     "keyPath",
		`{"default":[{"type":"signedBy","keyType":"X509Certificates","keyPath":"/x"}]}`:                           "GPGKeys",
		`{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"x":[{"type":"reject","a":1}]}}}`: `"a"`,
	} {
		file := filepath.Join(t.TempDir(), "policy.json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := guestpull.Fetch(context.Background(), w.name, guestpull.Options{Policy: guestpull.Source{URI: file}})
		require.ErrorIs(t, err, storage.ErrInvalid, text)
		require.ErrorContains(t, err, says, text)
	}
}

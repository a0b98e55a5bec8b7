package guestpull_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containers/ocicrypt/blockcipher"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// unwrapKey is the key provider of a guest. Its messages have one field of bytes, as
// those that are used here.
func (k *keeper) unwrapKey(_ context.Context, unmarshal func(any) error) (any, error) {
	k.asked.Add(1)
	var request cdh.UnsealSecretInput
	if err := unmarshal(&request); err != nil {
		return nil, err
	}
	var input struct {
		Op     string `json:"op"`
		Unwrap struct {
			Config     struct{ Parameters map[string][]string } `json:"dc"`
			Annotation string                                   `json:"annotation"`
		} `json:"keyunwrapparams"`
	}
	if err := json.Unmarshal(request.Secret, &input); err != nil || input.Op != "keyunwrap" || input.Unwrap.Config.Parameters == nil {
		return nil, status.Error(codes.InvalidArgument, "no key provider protocol")
	}
	wrapped, err := base64.StdEncoding.DecodeString(input.Unwrap.Annotation)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "no base64")
	}
	options, known := k.layerKeys[string(wrapped)]
	if !known {
		return nil, status.Error(codes.NotFound, "no such key")
	}
	var written any = options // in base64, or as services in Rust write it
	if k.asked.Load()%2 == 0 {
		numbers := make([]int, len(options))
		for i, b := range options {
			numbers[i] = int(b)
		}
		written = numbers
	}
	text, err := json.Marshal(map[string]any{"keyunwrapresults": map[string]any{"optsdata": written}})
	return &cdh.UnsealSecretOutput{Plaintext: text}, err
}

// encrypt replaces a layer of an image by an encrypted one, whose key is known to the
// keeper by a name.
func encrypt(t *testing.T, reg *testRegistry, k *keeper, image *testImage, i int, name string) {
	t.Helper()
	d := image.Layers[i]
	handler, err := blockcipher.NewLayerBlockCipherHandler()
	require.NoError(t, err)
	r, finish, err := handler.Encrypt(bytes.NewReader(reg.read(t, d.Digest)), blockcipher.AES256CTR)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	options, err := finish()
	require.NoError(t, err)
	options.Private.Digest = d.Digest
	k.layerKeys[name] = encode(t, options.Private)
	e := reg.blob(t, d.MediaType+"+encrypted", text)
	e.Annotations = map[string]string{
		"org.opencontainers.image.enc.pubopts":                         base64.StdEncoding.EncodeToString(encode(t, options.Public)),
		"org.opencontainers.image.enc.keys.provider.attestation-agent": base64.StdEncoding.EncodeToString([]byte(name)),
		"org.opencontainers.image.enc.keys.jwe":                        "eA==",
	}
	image.Layers[i] = e
}

// requireFile fails unless one layer on the store has that file.
func requireFile(t *testing.T, store, name, text string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(store, "layers", "*", name))
	require.NoError(t, err)
	require.Len(t, found, 1)
	content, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.Equal(t, text, string(content))
}

// Layers that are encrypted, compressed or not, are unpacked with the keys of the
// guest's key provider, beside others.
func TestEncryptedLayers(t *testing.T) {
	inGuest(t)
	reg, k := newRegistry(t, t.TempDir()), &keeper{layerKeys: map[string][]byte{}}
	b := newImage(t, reg)
	large := strings.Repeat("large ", 100_000)
	for _, name := range []string{"a", "b", "c", "d"} {
		b.layer(func(l *layerBuilder) { l.file(name, name+large) })
	}
	for i, name := range []string{"a", "b", "c"} {
		encrypt(t, reg, k, &b.image, i, name)
	}
	full, d := reg.push(t, "app:1", b.image)
	store := newTmpfs(t, "size=64m")
	image, err := guestpull.New(store, guestpull.Options{KeyService: k.start(t)}).Pull(t.Context(), full, guestpull.PullOptions{})
	require.NoError(t, err)
	require.Equal(t, d, image.Digest)
	for _, name := range []string{"a", "b", "c", "d"} {
		requireFile(t, store, name, name+large)
	}
	require.Equal(t, int32(3), k.asked.Load())
}

// A layer that cannot be decrypted is named, with the reason, and nothing is left.
func TestUndecryptableLayers(t *testing.T) {
	inGuest(t)
	k := &keeper{layerKeys: map[string][]byte{}}
	socket := k.start(t)
	wrongKey := func(*ocispec.Descriptor) {
		var private blockcipher.PrivateLayerBlockCipherOptions
		require.NoError(t, json.Unmarshal(k.layerKeys["l"], &private))
		private.SymmetricKey[0]++
		k.layerKeys["l"] = encode(t, private)
	}
	for way, c := range map[string]struct {
		change func(d *ocispec.Descriptor)
		socket string
		kind   error
		says   string
	}{
		"no key service": {nil, "", nil, "no key service is known"},
		"nobody there":   {nil, socket + ".none", guestpull.ErrUndecryptable, "its key cannot be had"},
		"unknown key": {func(d *ocispec.Descriptor) {
			d.Annotations["org.opencontainers.image.enc.keys.provider.attestation-agent"] = "eA=="
		}, socket, guestpull.ErrUndecryptable, "no such key"},
		"another scheme": {func(d *ocispec.Descriptor) {
			delete(d.Annotations, "org.opencontainers.image.enc.keys.provider.attestation-agent")
		}, socket, guestpull.ErrUndecryptable, "only of \"jwe\""},
		"no options": {func(d *ocispec.Descriptor) { delete(d.Annotations, "org.opencontainers.image.enc.pubopts") },
			socket, guestpull.ErrRejected, "does not say how"},
		"another authentication": {func(d *ocispec.Descriptor) {
			d.Annotations["org.opencontainers.image.enc.pubopts"] = base64.StdEncoding.EncodeToString([]byte(`{"cipher":"AES_256_CTR_HMAC_SHA256","hmac":"eA=="}`))
		}, socket, guestpull.ErrUndecryptable, "authentication is wrong"},
		"wrong key":                  {wrongKey, socket, guestpull.ErrUndecryptable, "authentication is wrong"},
		"wrong key of a large layer": {wrongKey, socket, guestpull.ErrRejected, "with the key that the key provider has"},
	} {
		reg := newRegistry(t, t.TempDir())
		b := newImage(t, reg)
		b.compressedLayer("gzip", func(l *layerBuilder) {
			if strings.Contains(way, "large") {
				l.fill("d", 1, 10, 8*mib)
			}
			l.file("f", "x")
		})
		encrypt(t, reg, k, &b.image, 0, "l")
		if c.change != nil {
			c.change(&b.image.Layers[0])
		}
		full, _ := reg.push(t, "app:1", b.image)
		store := newTmpfs(t, "size=16m")
		_, err := guestpull.New(store, guestpull.Options{KeyService: c.socket}).Pull(t.Context(), full, guestpull.PullOptions{})
		require.ErrorContains(t, err, c.says, way)
		require.ErrorContains(t, err, b.image.Layers[0].Digest.String(), way)
		if c.kind != nil {
			require.ErrorIs(t, err, c.kind, way)
		}
		nothingLeft(t, store)
	}
}

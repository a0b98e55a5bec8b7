package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// registryWithImage returns the name of an image of three layers in a registry on
// this machine. Layers are tampered with as long as tamper is set.
func registryWithImage(t *testing.T) (image string, tamper *atomic.Bool) {
	t.Helper()
	tamper = new(atomic.Bool)
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tamper.Load() && strings.Contains(r.URL.Path, "/blobs/") {
			w = tamperer{w}
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	image = strings.TrimPrefix(server.URL, "http://") + "/app:1"
	ref, err := name.ParseReference(image)
	require.NoError(t, err)
	content, err := random.Image(100_000, 3)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, content))
	return image, tamper
}

type tamperer struct{ http.ResponseWriter }

func (t tamperer) Write(b []byte) (int, error) {
	changed := bytes.Clone(b)
	changed[len(changed)/2] ^= 1
	return t.ResponseWriter.Write(changed)
}

// guestCommand runs one command line in this process. What it prints as JSON fits its
// schema, or the status is -1.
func guestCommand(ctx context.Context, args ...string) (status int, out, errOut string) {
	var o, e bytes.Buffer
	status = run(ctx, args, &o, &e)
	if slices.Contains(args, "--json") && o.Len() > 0 {
		if err := outputs.Check(commandTree(), args, o.Bytes()); err != nil {
			return -1, o.String(), err.Error()
		}
	}
	return status, o.String(), e.String()
}

func TestPullCommand(t *testing.T) {
	storagetest.Kernel(t)
	storagetest.CheckLeaks(t)
	image, tamper := registryWithImage(t)
	store := t.TempDir() // in a bed, that is memory
	bundle := filepath.Join(t.TempDir(), "bundle")
	pull := []string{"pull", image, "--store", store, "--bundle", bundle}

	tamper.Store(true)
	status, _, text := guestCommand(t.Context(), pull...)
	require.Equal(t, cli.ExitRejected, status, text)
	require.Regexp(t, `^trusted-guest: pull: \S+/app:1: .*digest is sha256:`, text)
	tamper.Store(false)
	status, _, text = guestCommand(t.Context(), append(pull, "--max-bytes", "1000")...)
	require.Equal(t, cli.ExitUnsuitable, status, text)
	require.Contains(t, text, "\nhint: allow it more, with --max-bytes")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, text = guestCommand(ended, pull...)
	require.Equal(t, cli.ExitInterrupted, status)
	require.Regexp(t, `^trusted-guest: pull: \S+/app:1: [a-z ]+: interrupted\n$`, text)
	status, _, text = guestCommand(t.Context(), "pull", "a b")
	require.Equal(t, cli.ExitUsage, status, text)

	status, out, text := guestCommand(t.Context(), pull...)
	require.Equal(t, cli.ExitDone, status, text)
	require.Empty(t, text)
	require.Regexp(t, `^\S+/app:1\n  digest:  sha256:[0-9a-f]{64}\n  layers:  3, of which 3 were pulled\n  files:   293 KiB\n  mounted: `+bundle+`/rootfs\n$`, out)
	status, _, text = guestCommand(t.Context(), pull...)
	require.Equal(t, cli.ExitBusy, status, text)
	status, out, _ = guestCommand(t.Context(), "--json", "pull", image, "--store", store)
	require.Equal(t, cli.ExitDone, status)
	var pulled guestpull.Image
	require.NoError(t, json.Unmarshal([]byte(out), &pulled))
	require.True(t, pulled.Layers[0].Existing)

	status, out, _ = guestCommand(t.Context(), "image", "list", "--store", store)
	require.Equal(t, cli.ExitDone, status)
	require.Regexp(t, `^sha256:\S+  \S+/app:1  3 layers, 293 KiB\n  in `+bundle+`\n$`, out)
	status, _, text = guestCommand(t.Context(), "image", "list", "--store", store, "--json")
	require.Equal(t, cli.ExitDone, status, text)
	for _, step := range []struct {
		args []string
		says string
	}{
		{[]string{"release", bundle}, bundle + ": the image is released"},
		{[]string{"release", bundle}, bundle + ": no image of this store is there"},
		{[]string{"remove", image}, image + " is removed"},
		{[]string{"list"}, "no image is on the store " + store},
		{[]string{"prune"}, "0 images are removed, 0 stay"},
	} {
		status, out, text = guestCommand(t.Context(), append(append([]string{"image"}, step.args...), "--store", store)...)
		require.Equal(t, cli.ExitDone, status, text)
		require.Equal(t, step.says+"\n", out)
	}
	left, err := os.ReadDir(filepath.Join(store, "layers"))
	require.NoError(t, err)
	require.Empty(t, left)
}

package guestpull_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// byContainerd fetches what containerd's client does for a name, with its resolver
// and into its content store, and returns the image that it chooses there.
func byContainerd(t testing.TB, name, platform string, login func(host string) (user, secret string, err error)) (*guestpull.Fetched, error) {
	t.Helper()
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	ctx := log.WithLogger(t.Context(), logrus.NewEntry(silent))
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(client.CloseIdleConnections)
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(
		docker.WithPlainHTTP(docker.MatchLocalhost), docker.WithClient(client),
		docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(login))))})
	resolved, top, err := resolver.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	fetcher, err := resolver.Fetcher(ctx, resolved)
	if err != nil {
		return nil, err
	}
	store, err := local.NewStore(t.TempDir())
	require.NoError(t, err)
	want := matcherOf(platform)
	children := images.LimitManifests(images.FilterPlatforms(images.ChildrenHandler(store), want), want, 1)
	if err := images.Dispatch(ctx, images.Handlers(remotes.FetchHandler(store, fetcher), children), nil, top); err != nil {
		return nil, err
	}
	manifest, err := images.Manifest(ctx, store, top, want)
	if err != nil {
		return nil, err
	}
	f := &guestpull.Fetched{}
	if f.Config, err = content.ReadBlob(ctx, store, manifest.Config); err != nil {
		return nil, err
	}
	for _, l := range manifest.Layers {
		layer, err := content.ReadBlob(ctx, store, l)
		if err != nil {
			return nil, err
		}
		f.Layers = append(f.Layers, layer)
	}
	return f, nil
}

func matcherOf(platform string) platforms.MatchComparer {
	if platform == "" {
		return platforms.Default()
	}
	return platforms.Only(platforms.MustParse(platform))
}

// fetch is what Pull does with a registry. Nothing is left of it.
func fetch(t testing.TB, name string, o guestpull.Options) (*guestpull.Fetched, error) {
	t.Helper()
	return guestpull.Fetch(context.WithoutCancel(t.Context()), name, o)
}

// same reports whether two images are of the same bytes; they may be listed twice.
func same(a, b *guestpull.Fetched) bool {
	if len(a.Layers) != len(b.Layers) || digest.FromBytes(a.Config) != digest.FromBytes(b.Config) {
		return false
	}
	for i := range a.Layers {
		if digest.FromBytes(a.Layers[i]) != digest.FromBytes(b.Layers[i]) {
			return false
		}
	}
	return true
}

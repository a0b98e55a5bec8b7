package guestpull_test

import (
	"encoding/json"
	"errors"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// documentMembers decide what a document is.
type documentMembers struct {
	MediaType string               `json:"mediaType"`
	Config    *ocispec.Descriptor  `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Manifests []ocispec.Descriptor `json:"manifests"`
	FSLayers  json.RawMessage      `json:"fsLayers"`
}

// Any text is a manifest, a list or a named error, and no text is both: what is taken
// as one of them cannot be the other to encoding/json, with which others read it.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"config":{"digest":"sha256:x","size":1},"layers":[{"mediaType":"a","digest":"sha256:y","size":2,"urls":["https://x"],"data":"eA=="}]}`,
		`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[{"digest":"sha256:x","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`,
		`{"config":{},"manifests":[]}`, `{"Config":{},"manifests":[]}`, `{"manifests":[],"manifests":[]}`, `{"config":{},"layerſ":[]}`, `{"fsLayers":[]}`, `{"manifests":[]} {}`, `null`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		isList, err := guestpull.ParseDocument(text)
		if err != nil {
			requireNamedAndFit(t, err)
			return
		}
		var other documentMembers
		require.NoError(t, json.Unmarshal(text, &other))
		require.Nil(t, other.FSLayers)
		if isList {
			require.Nil(t, other.Config)
			require.Nil(t, other.Layers)
			require.NotContains(t, []string{manifestType, "application/vnd.docker.distribution.manifest.v2+json"}, other.MediaType)
		} else {
			require.Nil(t, other.Manifests)
			require.NotContains(t, []string{listType, "application/vnd.docker.distribution.manifest.list.v2+json"}, other.MediaType)
		}
	})
}

// Any text is a config or a named error; of one there is no more than an image can
// have layers.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{`{"os":"linux","architecture":"amd64","os.features":["x"],"rootfs":{"diff_ids":["sha256:x"]}}`, `{"rootfs":{"diff_ids":1}}`, `[]`, `{}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		diffIDs, err := guestpull.ParseConfig(text)
		if err != nil {
			requireNamedAndFit(t, err)
			return
		}
		var other ocispec.Image
		if json.Unmarshal(text, &other) == nil {
			require.Equal(t, len(other.RootFS.DiffIDs), len(diffIDs))
		}
	})
}

func requireNamedAndFit(t *testing.T, err error) {
	t.Helper()
	require.True(t, errors.Is(err, guestpull.ErrRejected) || errors.Is(err, storage.ErrNotSupported), "%v", err)
	require.Equal(t, guestpull.Fit(err.Error()), err.Error())
}

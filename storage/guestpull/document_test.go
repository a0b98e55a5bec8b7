package guestpull_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// What a document is, is told by its bytes. What could be both is refused.
func TestDocuments(t *testing.T) {
	const config, layers, manifests = `"config":{"digest":"sha256:x","size":1}`, `"layers":[]`, `"manifests":[]`
	for text, isList := range map[string]bool{
		`{` + config + `,` + layers + `}`: false,
		`{` + manifests + `}`:             true,
		`{"mediaType":"` + ocispec.MediaTypeImageIndex + `",` + manifests + `}`:  true,
		`{"mediaType":"` + ocispec.MediaTypeImageManifest + `",` + config + `} `: false,
	} {
		got, err := guestpull.ParseDocument([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, isList, got, text)
	}
	for _, text := range []string{
		``, `[]`, `{}`, `null`, `{"a":1}`, `{` + manifests, `{` + manifests + `} {}`,
		`{` + config + `,` + manifests + `}`, `{` + layers + `,` + manifests + `}`, `{` + config + `,` + layers + `,"manifests":null}`,
		`{` + manifests + `,` + manifests + `}`, `{` + manifests + `,"Config":{},"x":1}`, `{` + config + `,"Manifests":[]}`, `{` + config + `,"layerſ":[]}`,
		`{"mediaType":"` + ocispec.MediaTypeImageIndex + `",` + config + `}`, `{"mediaType":"` + ocispec.MediaTypeImageManifest + `",` + manifests + `}`,
		`{"mediaType":"text/plain",` + manifests + `}`, `{"mediaType":1,` + manifests + `}`, `{"fsLayers":[],` + manifests + `}`,
		`{"layers":[` + strings.Repeat("{},", 1_000_000) + `{}],` + config + `}`, `{"manifests":[` + strings.Repeat("{},", 1_000_000) + `{}]}`,
	} {
		_, err := guestpull.ParseDocument([]byte(text))
		require.Error(t, err, "%.200s", text)
	}
}

// Whatever type a registry sends with it, one digest is one image.
func TestOneDigestIsOneImage(t *testing.T) {
	p := newPublished(t)
	m := p.reg.manifest(t, p.image)
	var both map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(m, &both))
	both["manifests"] = encode(t, []ocispec.Descriptor{p.entry(p.image, manifestType, "linux/amd64")})
	delete(both, "mediaType")
	text := encode(t, both)
	for _, sent := range []string{manifestType, listType} {
		p.reg.pushManifest(t, "app:both", sent, text)
		for _, name := range []string{":both", "@" + digest.FromBytes(text).String()} {
			_, err := fetch(t, p.reg.host+"/app"+name, guestpull.Options{Platform: "linux/amd64"})
			require.ErrorIs(t, err, guestpull.ErrRejected)
			require.ErrorContains(t, err, "could be an image's, or a list of manifests")
		}
	}
}

func TestTextOfOthersInErrors(t *testing.T) {
	for _, text := range []string{"", "plain", "\x1b[2J\x1b]0;x\a", strings.Repeat("\x00", 3<<20), strings.Repeat("ä", 3<<20), "a\nb\r\u202e", "\xff\xfe", strings.Repeat("\xff", 1000)} {
		for shown, most := range map[string]int{guestpull.Quote(text): 256, guestpull.Fit(text): 1100} {
			require.LessOrEqual(t, len(shown), most)
			require.NotContains(t, shown, "\ufffd")
			require.False(t, strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", shown)
		}
	}
	require.Equal(t, `"plain"`, guestpull.Quote("plain"))
}

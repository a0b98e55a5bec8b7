package imagepolicy

import (
	"testing"

	"github.com/distribution/reference"
	"github.com/stretchr/testify/require"
)

// Which signed names are those of an image, for each way that a policy can say it.
func TestIdentities(t *testing.T) {
	const pinned = "registry.example/team/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const tagged = "registry.example/team/app:1"
	for _, c := range []struct {
		identity, kind, asked, signed string
		match                         bool
	}{
		{"", signedBy, tagged, tagged, true},
		{"", signedBy, tagged, "registry.example/team/app:2", false},
		{"", signedBy, tagged, "registry.example/team/app", false},
		{"", signedBy, pinned, "registry.example/team/app:2", true},
		{"", signedBy, pinned, "registry.example/team/app", false},
		{"", signedBy, pinned, "registry.example/team/other:2", false},
		{"", sigstoreSigned, tagged, "registry.example/team/app", true},
		{"", sigstoreSigned, tagged, "registry.example/team/app:2", false},
		{"", sigstoreSigned, tagged, "registry.example/team/other", false},
		{"", sigstoreSigned, "docker.io/library/busybox:1", "index.docker.io/library/busybox", true},
		{`{"type":"matchExact"}`, sigstoreSigned, tagged, "registry.example/team/app", false},
		{`{"type":"matchExact"}`, signedBy, pinned, tagged, false},
		{`{"type":"matchRepoDigestOrExact"}`, signedBy, pinned, tagged, true},
		{`{"type":"matchRepository"}`, signedBy, tagged, "registry.example/team/app:2", true},
		{`{"type":"matchRepository"}`, signedBy, tagged, "registry.example/team/apps:1", false},
		{`{"type":"exactReference","dockerReference":"other.example/app:1"}`, signedBy, tagged, "other.example/app:1", true},
		{`{"type":"exactReference","dockerReference":"other.example/app:1"}`, signedBy, tagged, tagged, false},
		{`{"type":"exactRepository","dockerRepository":"other.example/app"}`, signedBy, tagged, "other.example/app:7", true},
		{`{"type":"remapIdentity","prefix":"registry.example/team","signedPrefix":"vendor.example"}`, signedBy, tagged, "vendor.example/app:1", true},
		{`{"type":"remapIdentity","prefix":"registry.example/te","signedPrefix":"vendor.example"}`, signedBy, tagged, "vendor.exampleam/app:1", false},
	} {
		var raw []byte
		if c.identity != "" {
			raw = []byte(c.identity)
		}
		match, err := parseIdentity(raw, c.kind)
		require.NoError(t, err)
		asked, err := reference.ParseNormalizedNamed(c.asked)
		require.NoError(t, err)
		signed, err := reference.ParseNormalizedNamed(c.signed)
		require.NoError(t, err)
		require.Equal(t, c.match, match(asked, signed), "%+v", c)
	}
	for _, wrong := range []string{`{}`, `{"type":"later"}`, `{"type":"matchExact","x":1}`, `{"type":"exactReference"}`, `{"type":"remapIdentity","prefix":"a"}`, `[]`} {
		_, err := parseIdentity([]byte(wrong), signedBy)
		require.Error(t, err, wrong)
	}
}

// What was signed is read strictly: no reader may see another digest or name in it.
func TestPayloads(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	right := `{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":"` + d + `"},"identity":{"docker-reference":"a/b:1"}},"optional":{}}`
	p, err := parsePayload([]byte(right), signedBy)
	require.NoError(t, err)
	require.Equal(t, &payload{d, "a/b:1"}, p)
	_, err = parsePayload([]byte(right), sigstoreSigned)
	require.ErrorContains(t, err, "of type")
	for _, wrong := range []string{
		``, `[]`, `{}`, `{"critical":{}}`, right + right, right[:len(right)-1] + `,"critical":{}}`,
		`{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":"x"},"identity":{"docker-reference":"a/b:1"}}}`,
		`{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":"` + d + `","Docker-manifest-digest":"x"},"identity":{"docker-reference":"a/b:1"}}}`,
	} {
		_, err := parsePayload([]byte(wrong), signedBy)
		require.Error(t, err, wrong)
	}
}

// Whatever a policy holds, reading it ends with rules or an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"default":[{"type":"reject"}],"transports":{"docker":{"":[{"type":"sigstoreSigned","keyData":"eA=="}]}}}`))
	name, err := reference.ParseNormalizedNamed("registry.example/app:1")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := Parse(text, name)
		require.NotEqual(t, err == nil, rules == nil)
		if err == nil && !rules.needs(acceptAnything) {
			_, err := rules.Verify(Image{})
			require.ErrorIs(t, err, ErrRejected)
		}
	})
}

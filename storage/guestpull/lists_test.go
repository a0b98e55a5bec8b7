package guestpull_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// publisher puts images and lists of them into a registry.
type publisher struct {
	t    testing.TB
	reg  *testRegistry
	size map[digest.Digest]int
	docs int
}

func newPublisher(t testing.TB) *publisher {
	return &publisher{t: t, reg: newRegistry(t, t.TempDir()), size: map[digest.Digest]int{}}
}

// image pushes an image whose config says platform, and that holds text.
func (p *publisher) image(text, platform string) digest.Digest {
	p.t.Helper()
	image := newImage(p.t, p.reg).layer(func(l *layerBuilder) { l.file("f", text) }).image
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: image.DiffIDs}}
	if platform != "" {
		config.Platform = *platformOf(platform)
	}
	image.Config = encode(p.t, config)
	p.docs++
	_, d := p.reg.push(p.t, fmt.Sprint("app:", p.docs), image)
	return d
}

// artifact pushes a manifest that is of no image.
func (p *publisher) artifact() digest.Digest {
	config := p.reg.blob(p.t, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	return p.document("", ocispec.MediaTypeImageManifest, ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: "application/example", Config: config, Layers: []ocispec.Descriptor{config}})
}

func (p *publisher) document(tag, mediaType string, doc any) digest.Digest {
	p.t.Helper()
	text := encode(p.t, doc)
	if p.docs++; tag == "" {
		tag = fmt.Sprint(p.docs)
	}
	p.reg.pushManifest(p.t, "app:"+tag, mediaType, text)
	d := digest.FromBytes(text)
	p.size[d] = len(text)
	return d
}

// list pushes a list under a tag; an empty one gets a number.
func (p *publisher) list(tag string, entries ...ocispec.Descriptor) digest.Digest {
	return p.document(tag, ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
}

// entry names a manifest or a list, for a platform; "" says nothing of it.
func (p *publisher) entry(d digest.Digest, mediaType, platform string) ocispec.Descriptor {
	size := int64(p.size[d])
	if size == 0 {
		size = p.reg.manifestSize(p.t, d)
	}
	e := ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: size}
	if platform != "" {
		e.Platform = platformOf(platform)
	}
	return e
}

// platformOf is what an entry says, in its own words.
func platformOf(text string) *ocispec.Platform {
	var p ocispec.Platform
	parts := append(strings.Split(text, "/"), "", "")
	p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
	return &p
}

const (
	manifestType = ocispec.MediaTypeImageManifest
	listType     = ocispec.MediaTypeImageIndex
)

// Each image is of the platform that it is called; the list has them in this order.
func TestListsAsTheyArePublished(t *testing.T) {
	for name, c := range map[string]struct {
		list []string
		want map[string]string // by what was asked for; "" is for nothing
	}{
		"levels of amd64": {[]string{"linux/amd64/v3", "linux/amd64/v2", "linux/amd64"}, map[string]string{
			"linux/amd64": "linux/amd64", "linux/x86_64": "linux/amd64", "linux/amd64/v1": "linux/amd64",
			"linux/amd64/v2": "linux/amd64/v2", "linux/amd64/v3": "linux/amd64/v3", "linux/amd64/v4": "linux/amd64/v3"}},
		"only newer levels": {[]string{"linux/amd64/v3", "linux/amd64/v2"}, map[string]string{
			"linux/amd64": "", "linux/amd64/v2": "linux/amd64/v2"}},
		"arm64": {[]string{"linux/arm/v7", "linux/arm64/v8"}, map[string]string{
			"linux/arm64": "linux/arm64/v8", "linux/aarch64": "linux/arm64/v8", "linux/arm64/v8": "linux/arm64/v8", "linux/arm": "linux/arm/v7"}},
		"arm64 without a variant": {[]string{"linux/arm64"}, map[string]string{"linux/arm64/v8": "linux/arm64", "linux/aarch64": "linux/arm64"}},
		"the kernel's names":      {[]string{"linux/aarch64", "linux/x86_64"}, map[string]string{"linux/arm64": "linux/aarch64", "linux/amd64": "linux/x86_64"}},
		"older arm": {[]string{"linux/arm/v5", "linux/arm/v6"}, map[string]string{
			"linux/arm/v7": "linux/arm/v6", "linux/arm": "linux/arm/v6", "linux/arm/v6": "linux/arm/v6", "linux/arm/v5": "linux/arm/v5"}},
		"other systems": {[]string{"windows/amd64", "linux/amd64"}, map[string]string{"linux/amd64": "linux/amd64"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			images := map[string]digest.Digest{}
			var entries []ocispec.Descriptor
			for _, platform := range c.list {
				images[platform] = p.image(platform, platform)
				entries = append(entries, p.entry(images[platform], manifestType, platform))
			}
			p.list("all", entries...)
			for asked, want := range c.want {
				got, err := fetch(t, p.reg.host+"/app:all", guestpull.Options{Platform: asked})
				if want == "" {
					require.ErrorIs(t, err, guestpull.ErrNoSuchImage, asked)
					continue
				}
				require.NoError(t, err, asked)
				require.Equal(t, images[want], got.Digest, asked)
			}
		})
	}
}

// Lists in lists, as tools that add attestations publish them, and entries that do
// not say what they are for.
func TestListsInLists(t *testing.T) {
	p := newPublisher(t)
	amd, arm := p.image("amd", "linux/amd64"), p.image("arm", "linux/arm64")
	attestation := p.entry(p.artifact(), manifestType, "unknown/unknown")
	inner := func(d digest.Digest, platform string) digest.Digest {
		return p.list("", p.entry(d, manifestType, platform), attestation)
	}
	lists := map[string]digest.Digest{
		"nested":       p.list("", attestation, p.entry(inner(arm, "linux/arm64"), listType, "linux/arm64"), p.entry(inner(amd, "linux/amd64"), listType, "linux/amd64")),
		"no platforms": p.list("", p.entry(p.artifact(), manifestType, ""), p.entry(arm, manifestType, ""), p.entry(amd, manifestType, "")),
		"empty ones":   p.list("", p.entry(arm, manifestType, "/"), p.entry(amd, manifestType, "/")),
		"both":         p.list("", p.entry(inner(arm, ""), listType, ""), p.entry(inner(amd, ""), listType, "")),
		"wrong inside": p.list("", p.entry(inner(arm, "linux/arm64"), listType, "linux/amd64"), p.entry(amd, manifestType, "linux/amd64")),
		"three deep":   p.list("", p.entry(p.list("", p.entry(inner(amd, "linux/amd64"), listType, "")), listType, "linux/amd64")),
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			got, err := fetch(t, p.reg.host+"/app@"+list.String(), guestpull.Options{Platform: "linux/amd64"})
			require.NoError(t, err)
			require.Equal(t, amd, got.Digest)
			_, err = fetch(t, p.reg.host+"/app@"+list.String(), guestpull.Options{Platform: "linux/s390x"})
			require.ErrorIs(t, err, guestpull.ErrNoSuchImage)
			require.ErrorContains(t, err, "it has nothing for linux/s390x, only for linux/a")
			require.NotContains(t, err.Error(), "unknown")
		})
	}
}

// What a list can cost is bounded.
func TestBoundsOfLists(t *testing.T) {
	p := newPublisher(t)
	deep := p.image("amd", "linux/amd64")
	kind := manifestType
	for range 6 {
		deep, kind = p.list("", p.entry(deep, kind, "linux/amd64")), listType
	}
	var many []ocispec.Descriptor
	for i := range 70 {
		many = append(many, p.entry(p.image(fmt.Sprint(i), "linux/arm64"), manifestType, ""))
	}
	for says, d := range map[string]digest.Digest{"inside each other more than 4 times": deep, "more than 64 entries": p.list("", many...)} {
		_, err := fetch(t, p.reg.host+"/app@"+d.String(), guestpull.Options{Platform: "linux/amd64"})
		require.ErrorIs(t, err, guestpull.ErrRejected)
		require.ErrorContains(t, err, says)
	}
}

// Whatever is in a list, the image is the one that containerd takes; where that
// finds none we may.
func TestListsAsContainerdReadsThem(t *testing.T) {
	names := []string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386", "linux/arm64", "linux/arm64/v8", "linux/arm64/v9", "linux/arm/v7",
		"linux/arm/v6", "linux/arm/v5", "linux/aarch64", "linux/x86_64", "windows/amd64", "unknown/unknown", "linux/s390x", ""}
	p := newPublisher(t)
	images := map[string]digest.Digest{}
	for _, name := range names {
		images[name] = p.image(name, name)
	}
	random := rand.New(rand.NewPCG(16, 2))
	var list func(depth int) digest.Digest
	list = func(depth int) digest.Digest {
		var entries []ocispec.Descriptor
		for range 1 + random.IntN(4) {
			name := names[random.IntN(len(names))]
			if depth < 2 && random.IntN(4) == 0 {
				entries = append(entries, p.entry(list(depth+1), listType, name))
				continue
			}
			entries = append(entries, p.entry(images[name], manifestType, []string{name, name, ""}[random.IntN(3)]))
		}
		return p.list("", entries...)
	}
	found, more := 0, 0
	for range lists() {
		name := p.reg.host + "/app@" + list(0).String()
		platform := []string{"", "linux/amd64", "linux/amd64/v3", "linux/arm64", "linux/arm/v7", "linux/s390x"}[random.IntN(6)]
		theirs, theirErr := byContainerd(t, name, platform, nil)
		ours, err := fetch(t, name, guestpull.Options{Platform: platform})
		switch {
		case theirErr == nil:
			require.NoError(t, err, "%s for %q", name, platform)
			require.True(t, same(theirs, ours), "%s for %q", name, platform)
			found++
		case err == nil:
			more++
		}
	}
	t.Logf("containerd finds an image in %d lists of %d, we in %d more", found, lists(), more)
	require.Greater(t, found, lists()/4)
}

// lists is how many random lists a test makes.
func lists() int {
	if os.Getenv("TRUSTED_STORE_SOAK") == "1" {
		return 5000
	}
	return 200
}

// What was found in a list is what is pulled.
func TestPullFromLists(t *testing.T) {
	kernel(t)
	p := newPublisher(t)
	plain, newer := p.image("plain", "linux/amd64"), p.image("needs x86-64-v3", "linux/amd64")
	inner := p.list("inner", p.entry(plain, manifestType, "linux/amd64"), p.entry(newer, manifestType, "unknown/unknown"))
	p.list("nested", p.entry(inner, listType, "linux/amd64"))
	p.list("variants", p.entry(newer, manifestType, "linux/amd64/v3"), p.entry(plain, manifestType, "linux/amd64"))
	for _, tag := range []string{"nested", "variants"} {
		t.Run(tag, func(t *testing.T) {
			got, err := guestpull.New(newTmpfs(t, "size=16m"), guestpull.Options{Platform: "linux/amd64"}).Pull(t.Context(), p.reg.host+"/app:"+tag, guestpull.PullOptions{})
			require.NoError(t, err)
			require.Equal(t, plain, got.Digest)
		})
	}
}

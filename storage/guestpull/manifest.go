package guestpull

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/trusted-store/trusted-store/storage"
)

// manifest is an image's manifest with what its config says of the layers, all
// of it checked against digests.
type manifest struct {
	digest  digest.Digest
	config  json.RawMessage
	layers  []ocispec.Descriptor
	diffIDs []digest.Digest
	chains  []digest.Digest

	top      digest.Digest // of what the name stands for: the same, or a list
	verified []Verified
}

// digests are those that stand for the image.
func (m *manifest) digests() []digest.Digest {
	if m.top == m.digest {
		return []digest.Digest{m.digest}
	}
	return []digest.Digest{m.digest, m.top}
}

// resolve finds the manifest that a name stands for, on this platform. An image
// that is in no list is taken for whatever platform it is.
func resolve(ctx context.Context, r *registry, ref reference.Named, platform string) (*manifest, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	d, text, err := top(ctx, r, ref)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	found := &image{digest: d, document: doc}
	if doc.isList {
		s := newSearch(r, want)
		found, err = s.list(ctx, doc, 1)
		if errors.Is(err, errOther) {
			return nil, s.nothing()
		}
		if err != nil {
			return nil, err
		}
	}
	m, err := found.manifest(ctx, r)
	if err == nil {
		m.top = d
	}
	return m, err
}

// top reads what the registry has under that very name. A tag is taken at its
// word; a digest is not.
func top(ctx context.Context, r *registry, ref reference.Named) (digest.Digest, []byte, error) {
	if pinned, ok := ref.(reference.Digested); ok {
		text, err := r.manifest(ctx, ocispec.Descriptor{Digest: pinned.Digest()})
		return pinned.Digest(), text, err
	}
	return r.tagged(ctx, ref.(reference.Tagged).Tag()) // ParseDockerRef saw to it
}

func (m *image) manifest(ctx context.Context, r *registry) (_ *manifest, err error) {
	if m.text == nil {
		if m.text, err = r.config(ctx, m.config); err != nil {
			return nil, err
		}
	}
	config, err := parseConfig(m.text)
	if err != nil {
		return nil, err
	}
	diffIDs, err := config.diffIDs()
	if err == nil {
		err = checkLayers(m.layers, diffIDs)
	}
	if err != nil {
		return nil, err
	}
	chains := identity.ChainIDs(append([]digest.Digest(nil), diffIDs...))
	return &manifest{digest: m.digest, config: m.text, layers: m.layers, diffIDs: diffIDs, chains: chains}, nil
}

// imageConfig is the part of an image's config that is used.
type imageConfig struct {
	ocispec.Platform
	Features json.RawMessage `json:"os.features"` // in place of the platform's
	RootFS   struct {
		DiffIDs json.RawMessage `json:"diff_ids"`
	} `json:"rootfs"`
}

// configTypes are the types of configs; the last ones are of registries that do not
// know better.
var configTypes = []string{ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/octet-stream", ""}

func parseConfig(text []byte) (*imageConfig, error) {
	var c imageConfig
	if json.Unmarshal(text, &c) != nil || parsePart(c.Features, &c.OSFeatures) != nil {
		return nil, refuse(ErrRejected, "", "its config is no JSON of an image")
	}
	return &c, nil
}

func (c *imageConfig) diffIDs() ([]digest.Digest, error) {
	var all []digest.Digest
	const longest = 140 // bytes, of sha512 with quotes and a comma
	if raw := c.RootFS.DiffIDs; len(raw) > maxLayers*longest || len(raw) > 0 && json.Unmarshal(raw, &all) != nil {
		return nil, refuse(ErrRejected, "", "the diff_ids of its config are no list, or one of more than %d layers", maxLayers)
	}
	return all, nil
}

func checkLayers(layers []ocispec.Descriptor, diffIDs []digest.Digest) error {
	switch {
	case len(layers) == 0:
		return refuse(ErrRejected, "", "it has no layers, hence no root filesystem")
	case len(layers) != len(diffIDs):
		return refuse(ErrRejected, "", "it has %d layers, and its config tells of %d", len(layers), len(diffIDs))
	}
	for i, l := range layers {
		if err := checkLayer(l, diffIDs[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkLayer(l ocispec.Descriptor, diffID digest.Digest) error {
	for _, d := range []digest.Digest{l.Digest, diffID} {
		if err := d.Validate(); err != nil {
			return refuse(ErrRejected, "", "the digest %s of a layer cannot be checked: %w", quote(d.String()), err)
		}
	}
	if l.Size < 0 {
		return refuse(ErrRejected, "", "layer %s has %d bytes", l.Digest, l.Size)
	}
	if !strings.Contains(l.MediaType, ".tar") {
		return refuse(storage.ErrNotSupported, "", "layer %s is of type %s, which is not unpacked here", l.Digest, quote(l.MediaType))
	}
	return nil
}

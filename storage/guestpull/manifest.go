package guestpull

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

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
}

const (
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

// resolve finds the manifest that a name stands for, on this platform.
func resolve(ctx context.Context, repo *remote.Repository, ref reference.Named, platform string) (*manifest, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	d, text, err := top(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	if d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerIndex {
		if d, err = choose(text, want); err != nil {
			return nil, err
		}
		if text, err = readMetadata(ctx, repo, d); err != nil {
			return nil, err
		}
	}
	return readManifest(ctx, repo, d, text)
}

// top reads what the registry has under that very name. A tag is taken at its
// word; a digest is not.
func top(ctx context.Context, repo *remote.Repository, ref reference.Named) (ocispec.Descriptor, []byte, error) {
	d, body, err := repo.FetchReference(ctx, tagOrDigest(ref))
	if err != nil {
		return d, nil, notWhatWasAsked(err)
	}
	defer body.Close()
	if pinned, ok := ref.(reference.Digested); ok {
		d.Digest = pinned.Digest()
	}
	text, err := readVerified(body, d)
	return d, text, err
}

func readManifest(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor, text []byte) (*manifest, error) {
	if d.MediaType != ocispec.MediaTypeImageManifest && d.MediaType != dockerManifest {
		return nil, refuse(ErrRejected, "", "its manifest is of type %q: an OCI or docker (version 2) image is expected", d.MediaType)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, refuse(ErrRejected, "", "its manifest is no JSON: %w", err)
	}
	config, err := readMetadata(ctx, repo, m.Config)
	if err != nil {
		return nil, err
	}
	var image ocispec.Image
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, refuse(ErrRejected, "", "its config is no JSON: %w", err)
	}
	diffIDs := image.RootFS.DiffIDs
	if err := checkLayers(m.Layers, diffIDs); err != nil {
		return nil, err
	}
	chains := identity.ChainIDs(append([]digest.Digest(nil), diffIDs...))
	return &manifest{d.Digest, config, m.Layers, diffIDs, chains}, nil
}

func checkLayers(layers []ocispec.Descriptor, diffIDs []digest.Digest) error {
	switch {
	case len(layers) == 0:
		return refuse(ErrRejected, "", "it has no layers, hence no root filesystem")
	case len(layers) > maxLayers:
		return refuse(ErrRejected, "", "it has %d layers, the kernel mounts %d", len(layers), maxLayers)
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
			return refuse(ErrRejected, "", "the digest %q of a layer cannot be checked: %w", d, err)
		}
	}
	if l.Size < 0 {
		return refuse(ErrRejected, "", "layer %s has %d bytes", l.Digest, l.Size)
	}
	if strings.HasSuffix(l.MediaType, "+encrypted") || strings.Contains(l.MediaType, ".foreign.") || !strings.Contains(l.MediaType, ".tar") {
		return refuse(storage.ErrNotSupported, "", "layer %s is of type %q, which is not unpacked here", l.Digest, l.MediaType)
	}
	return nil
}

// parsePlatform reads OS/ARCH[/VARIANT].
func parsePlatform(text string) (ocispec.Platform, error) {
	if text == "" {
		return ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return ocispec.Platform{}, refuse(storage.ErrInvalid, "as linux/amd64 or linux/arm/v7", "%q is not a platform", text)
	}
	parts = append(parts, "")
	return ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}, nil
}

// choose takes the first manifest for the platform.
func choose(text []byte, want ocispec.Platform) (ocispec.Descriptor, error) {
	var list ocispec.Index
	if err := json.Unmarshal(text, &list); err != nil {
		return ocispec.Descriptor{}, refuse(ErrRejected, "", "its list of platforms is no JSON: %w", err)
	}
	var has []string
	for _, d := range list.Manifests {
		if d.Platform == nil {
			continue
		}
		if p := *d.Platform; p.OS == want.OS && p.Architecture == want.Architecture && (want.Variant == "" || p.Variant == want.Variant) {
			return d, nil
		}
		has = append(has, platformText(*d.Platform))
	}
	return ocispec.Descriptor{}, refuse(ErrNoSuchImage, "choose one of these platforms", "it has nothing for %s, only for %s", platformText(want), strings.Join(has, ", "))
}

func platformText(p ocispec.Platform) string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

package guestpull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestTypes are what is asked for. What comes is told by its bytes: see
// parseDocument.
var manifestTypes = http.Header{"Accept": {strings.Join([]string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerIndex, "*/*"}, ", ")}}

const (
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

// tagged reads the manifest, or list of manifests, that the registry has under a
// tag, which is taken at its word.
func (r *registry) tagged(ctx context.Context, tag string) (digest.Digest, []byte, error) {
	text, answer, err := r.read(ctx, "manifests/"+tag, manifestTypes)
	if err != nil {
		return "", nil, err
	}
	content, err := decodeAll(encodingOf(answer), text)
	if err != nil {
		return "", nil, err
	}
	named := digest.Digest(answer.Header.Get("Docker-Content-Digest"))
	if named.Validate() == nil && named.Algorithm().FromBytes(content) != named {
		content, err = r.manifest(ctx, ocispec.Descriptor{Digest: named})
	}
	return digest.FromBytes(content), content, err
}

// manifest reads a manifest, or list of manifests, by its digest. Old registries
// have some among the blobs.
func (r *registry) manifest(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	return r.byDigest(ctx, d, manifestTypes, "manifests/", "blobs/")
}

// config reads the config that a manifest names.
func (r *registry) config(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	return r.byDigest(ctx, d, anyType, "blobs/")
}

// byDigest reads content that fits into memory from the first of the parts of the
// repository that has it.
func (r *registry) byDigest(ctx context.Context, d ocispec.Descriptor, header http.Header, parts ...string) ([]byte, error) {
	if d.Size > maxMetadata || d.Size < 0 {
		return nil, tooLarge(d.Size)
	}
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	if text := embedded(d); text != nil {
		return text, nil
	}
	var missing error
	for _, part := range parts {
		text, answer, err := r.read(ctx, part+d.Digest.String(), header)
		switch {
		case err == nil:
			return r.verify(text, answer, d.Digest)
		case missing == nil:
			missing = err
		}
		if !errors.Is(err, ErrNoSuchImage) {
			break
		}
	}
	return nil, missing
}

// read reads a part of the repository that fits into memory. All of it may take
// twice as long as the registry may be silent.
func (r *registry) read(ctx context.Context, part string, header http.Header) ([]byte, *http.Response, error) {
	most := 2 * r.guard.idle
	ctx, cancel := context.WithTimeoutCause(ctx, most, errTooSlow)
	defer cancel()
	answer, err := r.get(ctx, r.url(part), header)
	if err != nil {
		return nil, nil, tooSlow(ctx, most, err)
	}
	defer answer.Body.Close()
	text, err := readBounded(answer.Body)
	return text, answer, tooSlow(ctx, most, err)
}

var errTooSlow = errors.New("too slow")

func tooSlow(ctx context.Context, most fmt.Stringer, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errTooSlow) {
		return refuse(ErrRegistry, "try again, or allow it a longer silence", "the registry took longer than %v for a manifest", most)
	}
	return err
}

func readBounded(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxMetadata+1))
	if err == nil && len(text) > maxMetadata {
		return nil, refuse(ErrRejected, "", "it has more bytes than is accepted: %d are the most", maxMetadata)
	}
	return text, err
}

func decodeAll(encoding string, text []byte) ([]byte, error) {
	if encoding == "" {
		return text, nil
	}
	content, err := decode(encoding, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return readBounded(content)
}

// verify returns what has the digest: the answer itself, or what it says it is in
// a compressed form. What another than the registry answered is not described.
func (r *registry) verify(text []byte, answer *http.Response, d digest.Digest) ([]byte, error) {
	actual := d.Algorithm().FromBytes(text)
	if actual == d {
		return text, nil
	}
	if encoding := encodingOf(answer); encoding != "" {
		if content, err := decodeAll(encoding, text); err == nil && d.Algorithm().FromBytes(content) == d {
			return content, nil
		}
	}
	if r.led(answer) {
		return nil, (&mismatch{what: "its digest", expected: d}).discreet()
	}
	return nil, wrongDigest("its digest", actual, d)
}

func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return refuse(ErrRejected, "", "its digest %s cannot be checked: %w", quote(d.String()), err)
	}
	return nil
}

func tooLarge(size int64) error {
	return refuse(ErrRejected, "", "it has %d bytes, %d are the most that is accepted", size, maxMetadata)
}

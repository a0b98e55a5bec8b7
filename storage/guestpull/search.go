package guestpull

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxDepth is how many lists may be inside each other.
	maxDepth = 4
	// maxDocuments bounds what is read to find an image in lists.
	maxDocuments = 64
	// maxNamed bounds the platforms that an error lists.
	maxNamed = 20
)

// image is an image that was found: its manifest, and its config if that was read.
type image struct {
	digest digest.Digest
	*document
	text []byte // of the config
}

// search looks for the image of a platform in a list, and in the lists inside it.
type search struct {
	r       *registry
	want    ocispec.Platform
	matcher platforms.MatchComparer
	read    int
	seen    []string // platforms
}

// errOther is an entry that is of another platform, or of no image.
var errOther = errors.New("not for the platform")

func newSearch(r *registry, want ocispec.Platform) *search {
	return &search{r: r, want: want, matcher: platforms.Only(want)}
}

// list returns the best image in a list; errOther when there is none.
func (s *search) list(ctx context.Context, list *document, depth int) (*image, error) {
	for _, d := range list.manifests {
		if says(d.Platform) {
			s.note(*d.Platform)
		}
	}
	for _, d := range candidates(list.manifests, s.matcher) {
		found, err := s.entry(ctx, d, depth)
		if !errors.Is(err, errOther) {
			return found, err
		}
	}
	return nil, errOther
}

// entry looks at what an entry of a list names. One that does not say what platform
// it is for may be anything.
func (s *search) entry(ctx context.Context, d ocispec.Descriptor, depth int) (*image, error) {
	if s.read++; s.read > maxDocuments {
		return nil, refuse(ErrRejected, "name the image for the platform by its digest", "its lists of manifests have more than %d entries to look at", maxDocuments)
	}
	text, err := s.r.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	inner, err := parseDocument(text)
	switch {
	case !says(d.Platform) && errors.Is(err, errNoImage):
		return nil, errOther
	case err != nil:
		return nil, err
	case !inner.isList && says(d.Platform):
		return &image{digest: d.Digest, document: inner}, nil
	case !inner.isList:
		return s.silent(ctx, d.Digest, inner)
	case depth == maxDepth:
		return nil, refuse(ErrRejected, "", "its lists of manifests are inside each other more than %d times", maxDepth)
	}
	return s.list(ctx, inner, depth+1)
}

// silent asks an image's config what platform it is for.
func (s *search) silent(ctx context.Context, d digest.Digest, m *document) (*image, error) {
	if !slices.Contains(configTypes, m.config.MediaType) {
		return nil, errOther
	}
	text, err := s.r.config(ctx, m.config)
	if err != nil {
		return nil, err
	}
	config, err := parseConfig(text)
	if err != nil || config.Architecture == "" {
		return nil, errOther // it is the config of something else
	}
	s.note(config.Platform)
	if !s.matcher.Match(config.Platform) {
		return nil, errOther
	}
	return &image{d, m, text}, nil
}

// note remembers a platform for the error.
func (s *search) note(p ocispec.Platform) {
	text := platforms.Format(platforms.Normalize(p))
	if len(s.seen) <= maxNamed && text != "unknown/unknown" && !slices.Contains(s.seen, text) {
		s.seen = append(s.seen, text)
	}
}

// nothing says what there is instead.
func (s *search) nothing() error {
	want := platforms.Format(s.want)
	if len(s.seen) == 0 {
		return refuse(ErrNoSuchImage, "", "it has nothing for %s, nor an image for any other platform", want)
	}
	if len(s.seen) > maxNamed {
		s.seen[maxNamed] = "and more"
	}
	has := strings.Join(s.seen, ", ")
	if quoted := quote(has); quoted != `"`+has+`"` {
		has = quoted
	}
	return refuse(ErrNoSuchImage, "choose one of these platforms", "it has nothing for %s, only for %s", want, has)
}

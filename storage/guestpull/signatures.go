package guestpull

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/trusted-store/trusted-store/internal/imagepolicy"
)

const (
	// maxSignatures bounds how many signatures of one digest are looked at, and
	// maxSignature each of them, in bytes.
	maxSignatures = 32
	maxSignature  = 256 << 10
)

// What cosign attaches. Source: sigstore/cosign, specs/SIGNATURE_SPEC.md.
const (
	cosignPayload    = "application/vnd.dev.cosign.simplesigning.v1+json"
	cosignAnnotation = "dev.cosignproject.cosign/signature"
)

// attached reads the signatures that cosign puts beside an image.
func attached(ctx context.Context, r *registry, digests []digest.Digest) (all []imagepolicy.Sigstore, err error) {
	for _, d := range digests {
		_, text, err := r.tagged(ctx, strings.Replace(d.String(), ":", "-", 1)+".sig")
		if errors.Is(err, ErrNoSuchImage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := parseDocument(text)
		if err != nil {
			return nil, refuse(ErrRejected, "", "what should have signatures of %s: %w", d, err)
		}
		for _, l := range m.layers[:min(len(m.layers), maxSignatures)] {
			if l.MediaType != cosignPayload || l.Size > maxSignature {
				continue
			}
			payload, err := r.config(ctx, l)
			if err != nil {
				return nil, err
			}
			all = append(all, imagepolicy.Sigstore{Payload: payload, Signature: l.Annotations[cosignAnnotation]})
		}
	}
	return all, nil
}

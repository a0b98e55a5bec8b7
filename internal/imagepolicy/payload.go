package imagepolicy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// The types that a payload says it is of, by kind of requirement.
var payloadTypes = map[string]string{signedBy: "atomic container signature", sigstoreSigned: "cosign container image signature"}

// payload is what was signed.
type payload struct {
	digest   digest.Digest
	identity string
}

func parsePayload(text []byte, kind string) (*payload, error) {
	all, err := object(text)
	if err != nil {
		return nil, err
	}
	all.take("optional")
	critical, err := object(all.take("critical"))
	if err = errors.Join(err, all.end()); err != nil {
		return nil, err
	}
	image, errImage := object(critical.take("image"))
	name, errName := object(critical.take("identity"))
	said, errType := critical.text("type")
	if err := errors.Join(errImage, errName, errType, critical.end()); err != nil {
		return nil, err
	}
	if said != payloadTypes[kind] {
		return nil, fmt.Errorf("it is of type %q, not %q", said, payloadTypes[kind])
	}
	var p payload
	if json.Unmarshal(image.take("docker-manifest-digest"), &p.digest) != nil || p.digest.Validate() != nil {
		return nil, errors.New("it has no digest")
	}
	p.identity, err = name.text("docker-reference")
	return &p, errors.Join(err, image.end(), name.end())
}

// accepts checks that a payload, whose signature is right, is of the image.
func (q *requirement) accepts(text []byte, asked reference.Named, image Image) (*payload, error) {
	p, err := parsePayload(text, q.kind)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(image.Digests, p.digest) {
		return nil, fmt.Errorf("it is of %s, not of this image", p.digest)
	}
	signed, err := reference.ParseNormalizedNamed(p.identity)
	if err != nil {
		return nil, fmt.Errorf("the name in it cannot be read: %q", p.identity)
	}
	if !q.identity(asked, signed) {
		return nil, fmt.Errorf("it is of an image with the name %q", p.identity)
	}
	return p, nil
}

package imagepolicy

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Image is an image with what is said to be signatures of it.
type Image struct {
	// Digests are those that stand for it: of its manifest, and of the list that its
	// name stands for.
	Digests  []digest.Digest
	Simple   [][]byte
	Sigstore []Sigstore
}

// Sigstore is a signature as cosign attaches it.
type Sigstore struct {
	Payload   []byte
	Signature string // base64
}

// Verified says what met a requirement.
type Verified struct {
	Requirement string        `json:"requirement"`
	Scope       string        `json:"scope"`            // of the policy
	Key         string        `json:"key,omitempty"`    // a fingerprint (OpenPGP), or the SHA-256 of a public key
	Name        string        `json:"name,omitempty"`   // that was signed
	Digest      digest.Digest `json:"digest,omitempty"` // that was signed
}

// Verify checks that an image meets every rule. Its errors match ErrRejected.
func (r *Rules) Verify(image Image) ([]Verified, error) {
	var all []Verified
	for _, q := range r.requirements {
		v := &Verified{}
		var err error
		switch q.kind {
		case acceptAnything:
		case signedBy:
			v, err = q.simple(r.ref, image)
		case sigstoreSigned:
			v, err = q.sigstore(r.ref, image)
		default:
			err = errors.New("every image is rejected")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: scope %s, %s: %w", ErrRejected, r.Scope, q.kind, err)
		}
		v.Requirement, v.Scope = q.kind, r.Scope
		all = append(all, *v)
	}
	return all, nil
}

var errNoSignature = errors.New("there is no signature")

package imagepolicy

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
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

// maxPayload bounds what is signed, in bytes.
const maxPayload = 1 << 20

func (q *requirement) simple(asked reference.Named, image Image) (*Verified, error) {
	var ring openpgp.EntityList
	for _, key := range q.keys {
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(key))
		if err != nil {
			keys, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
		}
		if err != nil {
			return nil, fmt.Errorf("its key is no OpenPGP keyring: %w", err)
		}
		ring = append(ring, keys...)
	}
	why := errNoSignature
	for _, s := range image.Simple {
		text, signer, err := openSimple(s, ring)
		var p *payload
		if err == nil {
			p, err = q.accepts(text, asked, image)
		}
		if err == nil {
			return &Verified{Key: fmt.Sprintf("%X", signer), Name: p.identity, Digest: p.digest}, nil
		}
		why = err
	}
	return nil, why
}

// openSimple returns what is in a signed message, and the fingerprint of the key.
func openSimple(s []byte, ring openpgp.EntityList) (text, signer []byte, err error) {
	m, err := openpgp.ReadMessage(bytes.NewReader(s), ring, nil, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no OpenPGP message: %w", err)
	}
	text, err = io.ReadAll(io.LimitReader(m.UnverifiedBody, maxPayload+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > maxPayload:
		return nil, nil, fmt.Errorf("it has more than %d bytes", maxPayload)
	case !m.IsSigned:
		return nil, nil, errors.New("it is not signed")
	case m.SignedBy == nil:
		return nil, nil, fmt.Errorf("it is signed by %X, a key that the policy does not have", m.SignedByKeyId)
	case m.SignatureError != nil:
		return nil, nil, m.SignatureError
	}
	return text, m.SignedBy.Entity.PrimaryKey.Fingerprint, nil
}

func (q *requirement) sigstore(asked reference.Named, image Image) (*Verified, error) {
	var keys []crypto.PublicKey
	for _, text := range q.keys {
		key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("its key is no PEM of a public key: %w", err)
		}
		keys = append(keys, key)
	}
	why := errNoSignature
	for _, s := range image.Sigstore {
		key, err := openSigstore(s, keys)
		var p *payload
		if err == nil {
			p, err = q.accepts(s.Payload, asked, image)
		}
		if err == nil {
			return &Verified{Key: "sha256:" + key, Name: p.identity, Digest: p.digest}, nil
		}
		why = err
	}
	return nil, why
}

// openSigstore returns the hash of the key that a payload is signed by.
func openSigstore(s Sigstore, keys []crypto.PublicKey) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil {
		return "", errors.New("it is no base64")
	}
	for _, key := range keys {
		verifier, err := signature.LoadVerifier(key, crypto.SHA256)
		if err != nil {
			return "", fmt.Errorf("its key is of no use: %w", err)
		}
		if verifier.VerifySignature(bytes.NewReader(raw), bytes.NewReader(s.Payload)) != nil {
			continue
		}
		der, err := cryptoutils.MarshalPublicKeyToDER(key)
		if err != nil {
			return "", err
		}
		return digest.FromBytes(der).Encoded(), nil
	}
	return "", errors.New("it is signed by a key that the policy does not have")
}

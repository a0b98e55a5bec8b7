package imagepolicy

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

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

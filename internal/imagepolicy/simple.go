package imagepolicy

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/distribution/reference"
)

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

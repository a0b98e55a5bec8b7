package guestpull

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/containers/ocicrypt/blockcipher"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/trusted-store/trusted-store/storage"
)

// What says that, and how, a layer is encrypted. Source: containers/ocicrypt, spec and
// docs/keyprovider.md.
const (
	encryptedSuffix  = "+encrypted"
	encryptionPrefix = "org.opencontainers.image.enc."
	publicOptions    = encryptionPrefix + "pubopts"
	keyPrefix        = encryptionPrefix + "keys."
	keyProvider      = keyPrefix + "provider."
	// maxWrappedKeys is how many keys of a layer are tried.
	maxWrappedKeys = 16
)

func isEncrypted(d ocispec.Descriptor) bool { return strings.HasSuffix(d.MediaType, encryptedSuffix) }

const undecryptable = "see that the key service has its key, and gives it to this guest"

// layerKey is what a layer is decrypted with.
type layerKey struct {
	options blockcipher.LayerBlockCipherOptions
}

// layerKey gets the key of a layer from the guest's key provider; nil when it is not
// encrypted.
func (o *Options) layerKey(ctx context.Context, d ocispec.Descriptor) (*layerKey, error) {
	if !isEncrypted(d) {
		return nil, nil
	}
	k := &layerKey{}
	public, err := base64.StdEncoding.DecodeString(d.Annotations[publicOptions])
	if err != nil || json.Unmarshal(public, &k.options.Public) != nil {
		return nil, refuse(ErrRejected, "", "it is encrypted, and does not say how: %s is missing or wrong", publicOptions)
	}
	wrapped, err := wrappedKeys(d)
	if err != nil {
		return nil, err
	}
	if o.KeyService == "" {
		return nil, refuse(storage.ErrInvalid, "name the socket of the guest's key service", "it is encrypted, and no key service is known")
	}
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	var errs []error
	for _, annotation := range wrapped {
		if err = k.unwrap(ctx, o.KeyService, annotation); err == nil {
			return k, nil
		}
		errs = append(errs, err)
	}
	return nil, refuse(ErrUndecryptable, undecryptable, "it is encrypted, and its key cannot be had: %w", errors.Join(errs...))
}

// wrappedKeys are the keys of a layer as key providers wrapped them.
func wrappedKeys(d ocispec.Descriptor) (all [][]byte, err error) {
	var others []string
	for name, text := range d.Annotations {
		if !strings.HasPrefix(name, keyProvider) {
			if scheme, is := strings.CutPrefix(name, keyPrefix); is {
				others = append(others, scheme)
			}
			continue
		}
		for one := range strings.SplitSeq(text, ",") {
			wrapped, err := base64.StdEncoding.DecodeString(one)
			if err != nil {
				return nil, refuse(ErrRejected, "", "it is encrypted, and its %s is no base64", quote(name))
			}
			all = append(all, wrapped)
		}
	}
	switch {
	case len(all) == 0:
		return nil, refuse(ErrUndecryptable, "encrypt it for the guest's key provider", "it is encrypted, and has no key of a key provider, only of %s", quote(strings.Join(others, ", ")))
	case len(all) > maxWrappedKeys:
		return nil, refuse(ErrRejected, "", "it is encrypted, and has %d keys: %d are the most", len(all), maxWrappedKeys)
	}
	return all, nil
}

// wipe forgets the key, as far as this process has it and not its library.
func (k *layerKey) wipe() {
	if k != nil {
		clear(k.options.Private.SymmetricKey)
	}
}

// doubt adds to why a layer cannot be unpacked that it may be its key: whether that is
// right shows at the layer's end only.
func (k *layerKey) doubt(err error) error {
	if own := new(mismatch); k == nil || !errors.Is(err, ErrRejected) || errors.As(err, &own) {
		return err
	}
	return refuse(ErrRejected, "", "it is encrypted, and with the key that the key provider has it is not what can be unpacked: %w", err)
}

// decrypting is a layer as it was before it was encrypted. Its end is read only when
// its authentication is right.
type decrypting struct {
	plain      io.Reader
	compressed *compressed
}

// decrypt returns what is unpacked of a layer.
func (k *layerKey) decrypt(c *compressed) (io.Reader, error) {
	if k == nil {
		return c, nil
	}
	handler, err := blockcipher.NewLayerBlockCipherHandler()
	if err != nil {
		return nil, err
	}
	plain, _, err := handler.Decrypt(c, k.options)
	if err != nil {
		return nil, refuse(ErrUndecryptable, "", "it cannot be decrypted: %w", err)
	}
	return &decrypting{plain, c}, nil
}

func (d *decrypting) Read(p []byte) (int, error) {
	n, err := d.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && d.compressed.failed == nil {
		// The library's text has what the authentication should have been.
		err = refuse(ErrUndecryptable, undecryptable, "it cannot be decrypted: its authentication is wrong, or its key")
		d.compressed.failed = err
	}
	return n, err
}

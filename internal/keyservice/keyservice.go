// Package keyservice asks the services of a confidential guest that have keys and
// other secrets, over ttrpc on a Unix socket: resources of its key broker, and sealed
// secrets. What they answer is in locked memory from the moment it is read. What
// others ask them it passes on; see [Relay].
package keyservice

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/internal/secret"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// IsResource reports whether a text names a resource: kbs://… or kbs+PLUGIN://….
func IsResource(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	plugin, isPlugin := strings.CutPrefix(scheme, "kbs+")
	return found && (scheme == "kbs" || isPlugin && plugin != "" && !strings.ContainsFunc(plugin, notOfScheme))
}

// notOfScheme tells what a URL's scheme cannot have.
func notOfScheme(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return !letter && !(r >= '0' && r <= '9') && !strings.ContainsRune("+-.", r)
}

// Resource asks GetResourceService at a socket for a resource, such as
// kbs:///default/key/1. The bytes are the caller's to wipe. Errors of the service are
// those of package status, and name it.
func Resource(ctx context.Context, socket, uri string) (*secret.Bytes, error) {
	return ask(ctx, socket, "api.GetResourceService", "GetResource", &cdh.GetResourceRequest{ResourcePath: uri})
}

// Unseal asks SealedSecretService at a socket what is in a sealed secret, a text
// "sealed.…". Otherwise it is as Resource.
func Unseal(ctx context.Context, socket, sealed string) (*secret.Bytes, error) {
	return ask(ctx, socket, "api.SealedSecretService", "UnsealSecret", &cdh.UnsealSecretInput{Secret: []byte(sealed)})
}

func ask(ctx context.Context, socket, service, method string, request proto.Message) (*secret.Bytes, error) {
	if socket == "" {
		return nil, fmt.Errorf("this service knows no socket of %s", service)
	}
	response, err := call(ctx, socket, service, method, request)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", service, socket, err)
	}
	defer response.Wipe()
	value, err := secretOf(response.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", service, socket, err)
	}
	return secret.Move(value)
}

// UnwrapKey asks the KeyProviderService at a socket for the key of a layer. Both texts
// are JSON of the key provider protocol. Source: containers/ocicrypt, docs/keyprovider.md.
func UnwrapKey(ctx context.Context, socket string, input []byte) (*secret.Bytes, error) {
	// Its message has one field of bytes, of number 1, as this one.
	return ask(ctx, socket, "keyprovider.KeyProviderService", "UnWrapKey", &cdh.UnsealSecretInput{Secret: input})
}

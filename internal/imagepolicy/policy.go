// Package imagepolicy decides whether an image may run, by containers' policy.json:
// its scopes, simple signatures (OpenPGP) and cosign's with a public key. It reads
// nothing but what it is given, and asks no network. Source: containers-policy.json(5),
// containers-signature(5).
package imagepolicy

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"go.podman.io/image/v5/docker/policyconfiguration"
)

// ErrRejected is what a policy says of an image that it does not allow.
var ErrRejected = errors.New("the policy does not allow it")

// Rules are the requirements of a policy that are for one image. All of them must be
// met.
type Rules struct {
	// Scope is the part of the registry that the policy names, "default" if none of
	// them has the image in it.
	Scope        string
	ref          reference.Named
	requirements []*requirement
}

// Parse returns the rules of a policy for an image, whose name has a tag or a digest.
// The whole policy must be right.
func Parse(text []byte, ref reference.Named) (*Rules, error) {
	policy, err := object(text)
	if err != nil {
		return nil, err
	}
	byDefault, err := requirements(policy.take("default"))
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	scopes, err := transports(policy.take("transports"))
	if err == nil {
		err = policy.end()
	}
	if err != nil {
		return nil, err
	}
	names, err := Scopes(ref)
	if err != nil {
		return nil, err
	}
	for _, scope := range append(names, "") {
		if found, has := scopes[scope]; has {
			return &Rules{scope, ref, found}, nil
		}
	}
	return &Rules{"default", ref, byDefault}, nil
}

// Scopes are the parts of a registry that an image is in, the closest first, as
// policies and the configuration of signatures name them.
func Scopes(ref reference.Named) ([]string, error) {
	identity, err := policyconfiguration.DockerReferenceIdentity(ref)
	if err != nil {
		return nil, err
	}
	return append([]string{identity}, policyconfiguration.DockerReferenceNamespaces(ref)...), nil
}

// transports returns the scopes of images in registries. Those of other transports
// are checked, too.
func transports(raw json.RawMessage) (registries map[string][]*requirement, err error) {
	if raw == nil {
		return nil, nil
	}
	all, err := object(raw)
	if err != nil {
		return nil, fmt.Errorf("transports: %w", err)
	}
	for transport, raw := range all {
		scopes, err := object(raw)
		if err != nil {
			return nil, fmt.Errorf("transport %q: %w", transport, err)
		}
		parsed := map[string][]*requirement{}
		for scope, raw := range scopes {
			if parsed[scope], err = requirements(raw); err != nil {
				return nil, fmt.Errorf("transport %q, scope %q: %w", transport, scope, err)
			}
		}
		if transport == "docker" {
			registries = parsed
		}
	}
	return registries, nil
}

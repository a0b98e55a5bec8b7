package guestpull

import (
	"context"
	"errors"

	"github.com/distribution/reference"

	"github.com/trusted-store/trusted-store/internal/imagepolicy"
	"github.com/trusted-store/trusted-store/storage"
)

// Verified says what met one requirement of a policy: its type, and for a signature
// the key, and the name and digest that were signed.
type Verified = imagepolicy.Verified

// policy is what the caller's policy says of one image.
type policy struct {
	ref   reference.Named // as the caller calls it, whatever registry it comes from
	rules *imagepolicy.Rules
	o     Options
}

// newPolicy reads the policy and its keys. An image that no signature helps is
// refused before any registry is asked. Without a policy it returns nil.
func newPolicy(ctx context.Context, ref reference.Named, o Options) (*policy, error) {
	if !o.Policy.Given() {
		return nil, nil
	}
	text, err := o.Policy.read(ctx, "policy", o)
	if err != nil {
		return nil, err
	}
	rules, err := imagepolicy.Parse(text, ref)
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "see containers-policy.json(5)", "policy %v: %w", o.Policy, err)
	}
	if rules.Rejects() {
		return nil, refuse(ErrBlocked, "", "policy %v: its scope %s rejects every image", o.Policy, quote(rules.Scope))
	}
	err = rules.LoadKeys(func(uri string) ([]byte, error) { return Source{URI: uri}.read(ctx, "key of the policy", o) })
	return &policy{ref, rules, o}, err
}

// check looks for the signatures that the policy wants, and verifies them. It is
// called before any layer is asked for.
func (p *policy) check(ctx context.Context, r *registry, m *manifest) ([]Verified, error) {
	if p == nil {
		return nil, nil
	}
	image := imagepolicy.Image{Digests: m.digests()}
	var err error
	if p.rules.NeedsSigstore() {
		image.Sigstore, err = attached(ctx, r, image.Digests)
	}
	if p.rules.NeedsSimple() && err == nil {
		image.Simple, err = p.lookaside(ctx, image.Digests)
	}
	if err != nil {
		return nil, err
	}
	verified, err := p.rules.Verify(image)
	if errors.Is(err, imagepolicy.ErrRejected) {
		return nil, refuse(ErrBlocked, "see that it is signed under this name, with a key of the policy", "policy %v: %w", p.o.Policy, err)
	}
	for _, v := range verified {
		p.o.Logger.Info("verified", "image", p.ref.String(), "digest", m.digest.String(), "requirement", v.Requirement, "scope", v.Scope,
			"key", v.Key, "signed_name", v.Name, "signed_digest", v.Digest.String())
	}
	return verified, err
}

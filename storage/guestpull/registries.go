package guestpull

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// registries are those that may have an image, in the order in which they are asked.
type registries struct {
	all    []*registry
	policy *policy
}

// newRegistries asks nobody but the guest's key service yet.
func newRegistries(ctx context.Context, ref reference.Named, o Options) (_ *registries, err error) {
	s := &registries{}
	if s.policy, err = newPolicy(ctx, ref, o); err != nil {
		return nil, err
	}
	places, err := endpointsOf(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	for _, e := range places {
		r, err := newRegistry(e, o)
		if err != nil {
			s.close()
			return nil, err
		}
		s.all = append(s.all, r)
	}
	return s, nil
}

func (s *registries) close() {
	for _, r := range s.all {
		r.close()
	}
}

// resolve returns the first that has the image as the policy wants it, with what it
// has. Where it was asked
// with credentials in vain, it is asked again without only if they were refused.
func (s *registries) resolve(ctx context.Context, o Options) (*registry, *manifest, error) {
	var failed []*registry
	var errs []error
	for _, r := range s.all {
		if r.noPassword && !errors.Is(errs[len(errs)-1], ErrUnauthorized) {
			continue
		}
		m, err := resolve(ctx, r, r.ref, o.Platform)
		if err == nil {
			m.verified, err = s.policy.check(ctx, r, m)
		}
		if err == nil {
			return r, m, nil
		}
		failed, errs = append(failed, r), append(errs, err)
		if ctx.Err() != nil {
			return nil, nil, err
		}
		o.Logger.Debug("not pulled from there", "from", r.endpoint.String(), "err", printable(err))
	}
	return nil, nil, nowhere(failed, errs)
}

// nowhere says why none has the image. The kind of the error is that of the last, the
// registry itself.
func nowhere(all []*registry, errs []error) error {
	last := errs[len(errs)-1]
	if len(errs) == 1 {
		return last
	}
	var said []string
	for i, err := range errs {
		said = append(said, fmt.Sprintf("%v: %v", all[i].endpoint, err))
	}
	hint := ""
	if own := new(refusal); errors.As(last, &own) {
		hint = own.hint
	}
	return refuse(kindOf(last), hint, "%s", strings.Join(said, "; "))
}

package guestpull

import (
	"context"
	"io"
	"net/netip"

	"github.com/opencontainers/go-digest"
)

// Fetched is what a registry has for a name.
type Fetched struct {
	Digest digest.Digest
	Config []byte
	Layers [][]byte // as they come
	// Verified is what the policy said.
	Verified []Verified
}

// Fetch does what Pull does with a registry, without a store: the tests of that part
// need no kernel.
func Fetch(ctx context.Context, name string, o Options) (f *Fetched, err error) {
	o.setDefaults()
	defer func() { err = failure("pull", name, "", err) }()
	ref, err := parseName(name)
	if err != nil {
		return nil, err
	}
	places, err := newRegistries(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	defer places.close()
	r, m, err := places.resolve(ctx, o)
	if err != nil {
		return nil, err
	}
	f = &Fetched{Digest: m.digest, Config: m.config, Verified: m.verified}
	for _, d := range m.layers {
		body, err := r.open(ctx, d)
		if err != nil {
			return nil, err
		}
		in := &compressed{body: body, is: d, hash: d.Digest.Algorithm().Digester(), pace: &pace{}, progress: func(int64) {},
			plain: d.Size} // nothing is unpacked here: all of it counts
		layer, err := io.ReadAll(in)
		if err == nil {
			err = in.verify()
		}
		body.Close()
		if err := body.discreet(err); err != nil {
			return nil, err
		}
		f.Layers = append(f.Layers, layer)
	}
	return f, nil
}

// CredentialOf is what the registry of an image would be sent: USER:PASSWORD,
// identity:TOKEN, bearer:TOKEN, or nothing.
func CredentialOf(ctx context.Context, name string, o Options) (text, hint string, err error) {
	ref, err := parseName(name)
	if err != nil {
		return "", "", err
	}
	r, err := newRegistry(endpoint{ref: ref}, o)
	if err != nil {
		return "", "", err
	}
	c, err := r.tokens.credentials.get(ctx)
	switch {
	case c.bearer != "":
		text = "bearer:" + c.bearer
	case c.identity != "":
		text = "identity:" + c.identity
	case c.user != "" || c.password != "":
		text = c.user + ":" + c.password
	}
	return text, r.tokens.credentials.hint(), err
}

// PlaceOf is where an address is, in words.
func PlaceOf(a netip.Addr) string { return placeOf(a).String() }

// Quote and Fit are what errors do with somebody else's text.
func Quote(text string) string { return quote(text) }
func Fit(text string) string   { return fit(text) }

// ParseDocument reports what a document is.
func ParseDocument(text []byte) (isList bool, err error) {
	d, err := parseDocument(text)
	return err == nil && d.isList, err
}

// Counted is what a pull read and made, whether it is still there or not.
type Counted struct{ Read, Entries int64 }

// PullCounting is Pull, and says what it took.
func (im *Images) PullCounting(ctx context.Context, name string) (*Image, Counted, error) {
	p := &pull{im: im, name: name}
	p.opts.setDefaults()
	image, err := p.run(ctx)
	var c Counted
	if p.budgets != nil {
		c = Counted{p.budgets.archives.Load(), int64(p.budgets.entries.used.Load())}
	}
	return image, c, failure("pull", name, p.step, p.interrupted(ctx, err))
}

// ParseConfig is what a config tells of the layers.
func ParseConfig(text []byte) ([]digest.Digest, error) {
	c, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	return c.diffIDs()
}

package guestpull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/trusted-store/trusted-store/internal/imagepolicy"
	"github.com/trusted-store/trusted-store/storage"
)

// signatureSites says where simple signatures are. Source: containers-registries.d(5).
type signatureSites struct {
	Default signatureSite            `yaml:"default-docker"`
	Docker  map[string]signatureSite `yaml:"docker"`
}

type signatureSite struct {
	Lookaside string `yaml:"lookaside"`
	Sigstore  string `yaml:"sigstore"` // the older name of it
}

func (s signatureSite) url() string {
	if s.Lookaside != "" {
		return s.Lookaside
	}
	return s.Sigstore
}

// site is where the signatures of an image are.
func (p *policy) site(ctx context.Context) (*url.URL, error) {
	text, err := p.o.Signatures.read(ctx, "the places of signatures", p.o)
	if err != nil {
		return nil, err
	}
	var sites signatureSites
	if err := yaml.Unmarshal(text, &sites); err != nil {
		return nil, refuse(storage.ErrInvalid, "see containers-registries.d(5)", "the places of signatures %v: %w", p.o.Signatures, err)
	}
	scopes, err := imagepolicy.Scopes(p.ref)
	if err != nil {
		return nil, err
	}
	where := sites.Default.url()
	for _, scope := range scopes {
		if s, has := sites.Docker[scope]; has && s.url() != "" {
			where = s.url()
			break
		}
	}
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" {
		return nil, refuse(storage.ErrInvalid, "name it as https://HOST/PATH or file:///PATH", "policy %v: there is no place where signatures of %s are", p.o.Policy, p.ref.Name())
	}
	return u, nil
}

// lookaside reads the simple signatures of an image.
func (p *policy) lookaside(ctx context.Context, digests []digest.Digest) (all [][]byte, err error) {
	site, err := p.site(ctx)
	if err != nil {
		return nil, err
	}
	client, done, err := p.client(site)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, d := range digests {
		for n := 1; n <= maxSignatures; n++ {
			u := site.JoinPath(fmt.Sprintf("%s@%s=%s", reference.Path(p.ref), d.Algorithm(), d.Encoded()), fmt.Sprintf("signature-%d", n))
			text, err := readSignature(ctx, client, u)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, err
			}
			all = append(all, text)
		}
	}
	return all, nil
}

// client asks the place of signatures, and nowhere else.
func (p *policy) client(site *url.URL) (client *http.Client, done func(), err error) {
	if site.Scheme == "file" {
		return nil, func() {}, nil
	}
	known, err := newTrust(site.Host, false, p.o)
	if err != nil {
		return nil, nil, err
	}
	g := newGuard(site, site.Scheme == "http", known, p.o)
	return &http.Client{Transport: g, CheckRedirect: askNoOther}, g.close, nil
}

func askNoOther(request *http.Request, _ []*http.Request) error {
	return refuse(ErrRegistry, "", "it leads elsewhere, to %s", address(request.URL))
}

// readSignature returns fs.ErrNotExist when there is none.
func readSignature(ctx context.Context, client *http.Client, u *url.URL) ([]byte, error) {
	if client == nil {
		return readFile(u.Path)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, refuse(ErrRegistry, "try again", "the place of signatures: %w", err)
	}
	defer discard(answer)
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return nil, fs.ErrNotExist
	case answer.StatusCode != http.StatusOK:
		return nil, refuse(ErrRegistry, "try again", "GET %s: %d %s", address(u), answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSignature+1))
	if err == nil && len(text) > maxSignature {
		err = refuse(ErrRejected, "", "GET %s: a signature of more than %d bytes", address(u), maxSignature)
	}
	return text, err
}

package guestpull

import (
	"context"
	"net/http"
	"net/url"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/trusted-store/trusted-store/storage"
)

// parseName completes the short forms that users of containers know, as docker
// does.
func parseName(name string) (reference.Named, error) {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, refuse(storage.ErrInvalid, "give it as registry.example/app:1 or registry.example/app@sha256:…",
			"%s is not the name of an image: %w", quote(name), err)
	}
	return ref, nil
}

// registry is the repository of one image in its registry, for the time of one
// pull.
type registry struct {
	endpoint
	home      *url.URL // of the registry
	path      string   // of the repository
	guard     *guard
	transport http.RoundTripper // over guard, and patient
	tokens    *authorizer
}

// newRegistry asks nobody yet.
func newRegistry(e endpoint, o Options) (*registry, error) {
	domain, path := reference.Domain(e.ref), reference.Path(e.ref)
	home := &url.URL{Scheme: "https", Host: domain}
	if domain == hub {
		home.Host = hubRegistry
	}
	plain := o.PlainHTTP || e.plain
	if plain || isLoopback(home.Hostname()) && !e.insecure {
		home.Scheme = "http"
	}
	known, err := newTrust(domain, e.insecure, o)
	if err != nil {
		return nil, err
	}
	if e.noPassword {
		o.AuthFile = ""
	}
	r := &registry{endpoint: e, home: home, path: path, guard: newGuard(home, plain, known, o)}
	r.transport = &retry.Transport{Base: r.guard, Policy: patience}
	credentials, err := newCredentials(domain, path, o)
	if err != nil {
		return nil, err
	}
	r.tokens = newAuthorizer(r, credentials)
	return r, nil
}

func (r *registry) close() { r.guard.close() }

// led reports whether an answer came from where the registry led to.
func (r *registry) led(answer *http.Response) bool { return !r.guard.isHome(answer.Request.URL) }

const maxHops = 10

// url is the address of a part of the repository.
func (r *registry) url(part string) *url.URL { return r.home.JoinPath("v2", r.path, part) }

// get asks an address, and goes where it leads. Answers other than success are
// errors.
func (r *registry) get(ctx context.Context, to *url.URL, header http.Header) (*http.Response, error) {
	for range maxHops {
		answer, err := r.send(ctx, to, header)
		if err != nil {
			return nil, err
		}
		next, err := leadsTo(answer)
		switch {
		case err != nil:
			return nil, err
		case next == nil && answer.StatusCode/100 == 2:
			return answer, nil
		case next == nil:
			return nil, r.refused(answer)
		}
		discard(answer)
		to = next
	}
	return nil, refuse(ErrRegistry, "", "it leads on and on: %d times, the last time to %s", maxHops, address(to))
}

// leadsTo is where an answer leads to, nil when it does not.
func leadsTo(answer *http.Response) (*url.URL, error) {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := answer.Location()
	if err != nil {
		discard(answer)
		return nil, refuse(ErrRegistry, "", "it leads to no address that can be read: %s", quote(answer.Header.Get("Location")))
	}
	return next, nil
}

// maxTries is how often one address is asked with other credentials: without, with
// those that its challenge asks for, and with a token that is fresh.
const maxTries = 3

// send asks one address, with what its origin wants to see.
func (r *registry) send(ctx context.Context, to *url.URL, header http.Header) (*http.Response, error) {
	for try := 1; ; try++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
		if err != nil {
			return nil, refuse(ErrRegistry, "", "it leads to no address that can be asked: %s", address(to))
		}
		request.Header = header.Clone()
		request.Header.Set("User-Agent", userAgent)
		request.Header.Set("Accept-Encoding", "identity") // see decode
		if to.User != nil {
			password, _ := to.User.Password()
			request.SetBasicAuth(to.User.Username(), password)
		}
		sent := r.tokens.authorize(request)
		answer, err := r.transport.RoundTrip(request)
		if err != nil || answer.StatusCode != http.StatusUnauthorized || try == maxTries {
			return answer, err
		}
		again, err := r.tokens.challenged(ctx, answer, sent)
		if err == nil && !again {
			return answer, nil
		}
		discard(answer)
		if err != nil {
			return nil, err
		}
	}
}

const userAgent = "trusted-guest"

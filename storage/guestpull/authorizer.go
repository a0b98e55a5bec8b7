package guestpull

import (
	"context"
	"encoding/base64"
	"net/http"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
)

// authorizer knows what each origin wants to see. The caller's credentials are for
// home, and for the token service that home names; where home leads to sees at
// most a token that it gives to everybody.
type authorizer struct {
	guard       *guard
	scope       string // what a token of home is asked for
	credentials *credentials
	client      *http.Client // of token services

	mu      sync.Mutex
	headers map[string]string // Authorization, by origin
}

func newAuthorizer(r *registry, c *credentials) *authorizer {
	client := &http.Client{Transport: bounded{r.transport}, CheckRedirect: stayAtOrigin}
	return &authorizer{guard: r.guard, scope: "repository:" + r.path + ":pull", credentials: c, client: client, headers: map[string]string{}}
}

// authorize adds to a request what its origin is known to want, and returns that.
func (a *authorizer) authorize(request *http.Request) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	header := a.headers[originOf(request.URL)]
	if header != "" {
		request.Header.Set("Authorization", header)
	}
	return header
}

// challenged gets what an origin asks for, and reports whether that differs from
// what it was sent.
func (a *authorizer) challenged(ctx context.Context, answer *http.Response, sent string) (again bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	origin := originOf(answer.Request.URL)
	if now := a.headers[origin]; now != sent {
		return true, nil // another layer's request was told the same
	}
	var c credential
	if a.guard.isHome(answer.Request.URL) {
		if c, err = a.credentials.get(ctx); err != nil {
			return false, err
		}
	}
	header, err := a.header(ctx, answer, c)
	if err != nil || header == "" || header == sent {
		return false, err
	}
	a.headers[origin] = header
	return true, nil
}

// header meets the first challenge that it can meet; "" says that it can meet none.
func (a *authorizer) header(ctx context.Context, answer *http.Response, c credential) (string, error) {
	if c.bearer != "" {
		return "Bearer " + c.bearer, nil
	}
	for _, challenge := range auth.ParseAuthHeader(answer.Header) {
		switch {
		case challenge.Scheme == auth.BasicAuth && c.user != "" && c.password != "":
			return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password)), nil
		case challenge.Scheme == auth.BearerAuth && challenge.Parameters["realm"] != "":
			token, err := a.token(ctx, answer.Request.URL, challenge, c)
			return "Bearer " + token, err
		}
	}
	return "", nil
}

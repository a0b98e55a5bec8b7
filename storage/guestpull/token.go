package guestpull

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
)

// token asks the token service that a challenge names. Both forms of the request
// are tried: not every service knows the first one.
func (a *authorizer) token(ctx context.Context, of *url.URL, challenge auth.Challenge, c credential) (string, error) {
	o, err := auth.GenerateTokenOptions(ctx, of.Host, c.user, c.password, challenge)
	if err != nil {
		return "", refuse(ErrRegistry, "", "the address of its token service cannot be read: %s", quote(challenge.Parameters["realm"]))
	}
	if a.guard.isHome(of) {
		o.Scopes = scopes(a.scope, o.Scopes)
	}
	forms := []func(context.Context, auth.TokenOptions) (string, error){a.byGet, a.byPost}
	switch {
	case c.identity != "":
		o.Username, o.Secret = "", c.identity
		forms = []func(context.Context, auth.TokenOptions) (string, error){a.byPost, a.byGet}
	case c.password == "":
		forms = forms[:1]
	}
	token, err := forms[0](ctx, o)
	if err != nil && len(forms) > 1 && refusedForm(err) {
		if other, otherErr := forms[1](ctx, o); otherErr == nil {
			return other, nil
		}
	}
	return token, a.failed(err)
}

func scopes(own string, others []string) []string {
	all := []string{own}
	for _, scope := range others {
		if scope != own {
			all = append(all, scope)
		}
	}
	return all
}

func (a *authorizer) byGet(ctx context.Context, o auth.TokenOptions) (string, error) {
	answer, err := auth.FetchToken(ctx, a.client, http.Header{"User-Agent": {userAgent}}, o)
	if err != nil {
		return "", err
	}
	return answer.Token, nil
}

func (a *authorizer) byPost(ctx context.Context, o auth.TokenOptions) (string, error) {
	answer, err := auth.FetchTokenWithOAuth(ctx, a.client, http.Header{"User-Agent": {userAgent}}, userAgent, o)
	if err != nil {
		return "", err
	}
	return answer.AccessToken, nil
}

// refusedForm reports whether a token service may have meant the form of the
// request.
func refusedForm(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	return errors.As(err, &status) && status.StatusCode/100 == 4 && status.StatusCode != http.StatusTooManyRequests
}

// failed explains an error of the token service, of whose answer only the status is
// told.
func (a *authorizer) failed(err error) error {
	var status remoteerrors.ErrUnexpectedStatus
	var own *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &status) && refusedForm(err):
		return refuse(ErrUnauthorized, a.credentials.hint(), "its token service answers %s", quote(status.Status))
	case errors.As(err, &status):
		return refuse(ErrRegistry, "try again", "its token service answers %s", quote(status.Status))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return refuse(ErrRegistry, "", "its token service does not answer with a token")
}

// stayAtOrigin keeps what a token service is sent from another one.
func stayAtOrigin(request *http.Request, via []*http.Request) error {
	switch {
	case originOf(request.URL) != originOf(via[0].URL):
		return refuse(ErrRegistry, "", "its token service leads elsewhere, to %s", address(request.URL))
	case len(via) >= maxHops:
		return refuse(ErrRegistry, "", "its token service leads on and on: %d times", maxHops)
	}
	return nil
}

// maxToken bounds the answer of a token service, in bytes.
const maxToken = 256 << 10

// bounded bounds answers.
type bounded struct{ base http.RoundTripper }

// RoundTrip is part of http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.base.RoundTrip(request)
	if err == nil {
		body := answer.Body
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, maxToken), body}
	}
	return answer, err
}

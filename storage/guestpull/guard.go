package guestpull

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// guard ends what stalls, and keeps a registry that was asked over TLS from
// leading to somewhere without it.
type guard struct {
	base      http.RoundTripper
	idle      time.Duration
	plainHTTP bool
}

var errStalled = errors.New("stalled")

// RoundTrip is part of http.RoundTripper.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !g.plainHTTP && !isLoopback(request.URL.Hostname()) {
		return nil, refuse(ErrRegistry, "ask for plain http if that network is trusted", "it leads to %s, which is without TLS", request.URL.Redacted())
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	timer := time.AfterFunc(g.idle, func() { cancel(errStalled) })
	answer, err := g.base.RoundTrip(request.WithContext(ctx))
	if !timer.Stop() || err != nil {
		cancel(nil)
		if err == nil {
			answer.Body.Close()
			err = context.Canceled
		}
		return nil, networkFailure(ctx, g.idle, err)
	}
	answer.Body = &guardedBody{body: answer.Body, ctx: ctx, cancel: cancel, idle: g.idle, timer: timer, floor: floor{idle: g.idle}}
	return answer, nil
}

// guardedBody is what a registry answers, as long as it goes on answering.
type guardedBody struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   time.Duration
	timer  *time.Timer
	floor  floor
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	began := time.Now()
	n, err := b.body.Read(p)
	b.timer.Stop()
	switch {
	case err == nil:
		err = b.floor.add(n, time.Since(began))
	case !errors.Is(err, io.EOF):
		err = networkFailure(b.ctx, b.idle, err)
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// networkFailure says why a connection ended: it stalled, the caller ended it,
// or it broke.
func networkFailure(ctx context.Context, idle time.Duration, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStalled):
		return refuse(ErrRegistry, "try again, or allow it a longer silence", "the registry was silent for %v", idle)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(ErrRegistry, "try again", "the registry broke off: %w", err)
	}
	return refuse(ErrRegistry, "try again", "%w", err)
}

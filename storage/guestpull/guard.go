package guestpull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// guard is the network as one pull sees it. It ends what stalls, and keeps the
// registry that the caller named, home, from leading to what only this guest can
// reach, or from TLS to plain http.
type guard struct {
	home  *url.URL // its scheme and host
	plain bool     // the caller asked for plain http
	idle  time.Duration
	place atomic.Int32 // of home, the outermost that was seen
	// Connections that home led to are not mixed with those to home, nor those with
	// TLS with those without: what may be dialled differs.
	toHome, away, awayPlain *http.Transport
}

const unknownPlace = int32(link) + 1

func newGuard(home *url.URL, plain bool, t *trust, o Options) *guard {
	g := &guard{home: home, plain: plain, idle: o.IdleTimeout}
	g.place.Store(unknownPlace)
	if a, ok := literal(home.Hostname()); ok {
		g.place.Store(int32(placeOf(a)))
	}
	choose := o.Proxy.function()
	g.toHome = newTransport(g.checkHome, t.home, choose)
	g.away = newTransport(g.check, t.away, choose)
	g.awayPlain = newTransport(g.checkPlain, t.away, choose)
	return g
}

// close gives connections back that nobody uses.
func (g *guard) close() {
	for _, t := range []*http.Transport{g.toHome, g.away, g.awayPlain} {
		t.CloseIdleConnections()
	}
}

// RoundTrip is part of http.RoundTripper.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := g.choose(request.URL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	timer := time.AfterFunc(g.idle, func() { cancel(errStalled) })
	traced := ctx
	if transport == g.toHome {
		traced = httptrace.WithClientTrace(ctx, g.trace(request))
	}
	answer, err := transport.RoundTrip(request.WithContext(traced))
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

// choose refuses what can be told from the address as it is written; names are
// looked at when they are dialled.
func (g *guard) choose(to *url.URL) (*http.Transport, error) {
	switch {
	case g.isHome(to):
		return g.toHome, nil
	case to.Scheme == "http" && g.home.Scheme == "http":
		return g.awayPlain, checkLiteral(to, g.checkPlain)
	case to.Scheme == "https":
		return g.away, checkLiteral(to, g.check)
	}
	return nil, withoutTLS(address(to))
}

// isHome reports whether a URL is of the registry that the caller named.
func (g *guard) isHome(u *url.URL) bool { return originOf(u) == originOf(g.home) }

// trace learns where home is from the connections to it, once they are made. One
// through a proxy tells nothing.
func (g *guard) trace(request *http.Request) *httptrace.ClientTrace {
	if proxy, err := g.toHome.Proxy(request); proxy != nil || err != nil {
		return &httptrace.ClientTrace{}
	}
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if remote, ok := info.Conn.RemoteAddr().(*net.TCPAddr); ok {
			g.learn(placeOf(remote.AddrPort().Addr()))
		}
	}}
}

func (g *guard) learn(p place) {
	for known := g.place.Load(); int32(p) < known; known = g.place.Load() {
		if g.place.CompareAndSwap(known, int32(p)) {
			return
		}
	}
}

// homePlace is where home is. Nobody knows: as on the internet.
func (g *guard) homePlace() place {
	if p := g.place.Load(); p != unknownPlace {
		return place(p)
	}
	return internet
}

var (
	errStalled = errors.New("stalled")
	// errBroken is a connection that ended before the answer did.
	errBroken = errors.New("the registry broke off")
)

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
		if context.Cause(b.ctx) == nil {
			err = fmt.Errorf("%w: %w", errBroken, err)
		}
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

// networkFailure says why a connection ended: it stalled, the caller ended it, it
// was not to be made, or it broke.
func networkFailure(ctx context.Context, idle time.Duration, err error) error {
	var own *refusal
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStalled):
		return refuse(ErrRegistry, "try again, or allow it a longer silence", "the registry was silent for %v", idle)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &own):
		return own
	}
	return refuse(ErrRegistry, "check the registry's name and the network, and try again", "%w", err)
}

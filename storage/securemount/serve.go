package securemount

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StopGrace is how long Serve waits, at its end, for requests that are under way.
const StopGrace = 50 * time.Second

// Serve serves ttrpc services on l until ctx ends: each of register adds some, as
// [Server.Register] does. Then it takes no new request, waits StopGrace for those
// under way, gives the rest up, waits for them to clean up behind themselves, and
// returns nil. Streams are given up, and not waited for. log may be nil.
func Serve(ctx context.Context, l net.Listener, log *slog.Logger, register ...func(*ttrpc.Server)) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var under gate
	server, err := ttrpc.NewServer(ttrpc.WithUnaryServerInterceptor(under.intercept))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	for _, add := range register {
		add(server)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(libraryLog(context.WithoutCancel(ctx), log), l) }()
	select {
	case err := <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	log.Info("stopping", "requests", under.count())
	return stop(l, server, &under, ended)
}

// replyTime is how long the library takes, after a request's function has
// returned, to send the reply.
const replyTime = 100 * time.Millisecond

// stop does what the library's Shutdown promises: that takes a connection for idle
// while its first request is under way, and closes it.
func stop(l net.Listener, server *ttrpc.Server, under *gate, ended chan error) error {
	l.Close()
	idle := under.shut()
	select {
	case <-idle:
	case <-time.After(StopGrace):
	}
	time.Sleep(replyTime)
	err := server.Close() // ends the contexts of what is left
	<-idle
	if serveErr := <-ended; !errors.Is(serveErr, ttrpc.ErrServerClosed) && !errors.Is(serveErr, net.ErrClosed) {
		err = errors.Join(err, serveErr)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// gate counts the requests under way, and lets none in once it is shut.
type gate struct {
	mu      sync.Mutex
	inside  int
	isShut  bool
	emptied chan struct{}
}

func (g *gate) intercept(ctx context.Context, unmarshal ttrpc.Unmarshaler, _ *ttrpc.UnaryServerInfo, method ttrpc.Method) (any, error) {
	if !g.enter() {
		return nil, status.Error(codes.Unavailable, "the service is stopping")
	}
	defer g.leave()
	return method(ctx, unmarshal)
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.isShut && g.inside == 0 {
		close(g.emptied)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// shut returns what is closed when nothing is under way any more.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut, g.emptied = true, make(chan struct{})
	if g.inside == 0 {
		close(g.emptied)
	}
	return g.emptied
}

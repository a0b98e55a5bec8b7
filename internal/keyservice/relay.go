package keyservice

import (
	"errors"
	"log/slog"
	"net"
	"sync"

	"google.golang.org/grpc/codes"
)

// Relay lets a ttrpc server stand where clients look for more services than it has:
// what they ask of the others goes to another server, and its answers come back,
// frame by frame, as they are. Each client has a connection of its own to that
// server, which is there while the client waits for an answer of it: one that does
// not answer, or dies, holds up nothing else.
type Relay struct {
	Upstream string          // socket of the other server; empty: there is none
	Ours     map[string]bool // services that are not passed on
	Log      *slog.Logger
}

// Listen returns a listener for the server: its connections carry what is asked of
// Ours.
func (r *Relay) Listen(l net.Listener) net.Listener { return &relayListener{l, r} }

type relayListener struct {
	net.Listener
	relay *Relay
}

func (l *relayListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	server, ours := net.Pipe()
	c := &client{relay: l.relay, conn: conn, ours: ours, waiting: map[uint32]*exchange{}}
	go c.serve()
	return server, nil
}

// client is one connection of a client.
type client struct {
	relay *Relay
	conn  net.Conn
	ours  net.Conn // to our server

	writing sync.Mutex // to conn, a frame at a time

	mu      sync.Mutex
	up      *upstream
	waiting map[uint32]*exchange // for the other server, by stream
}

// serve ends when the client or our server does, and all that it started with it.
func (c *client) serve() {
	var replies sync.WaitGroup
	replies.Go(func() {
		defer c.conn.Close()
		for {
			f, err := readFrame(c.ours)
			if err != nil || c.reply(f) != nil {
				return
			}
		}
	})
	c.readRequests()
	c.ours.Close()
	c.conn.Close()
	c.forgetAll()
	replies.Wait()
}

func (c *client) readRequests() {
	for {
		f, err := readFrame(c.conn)
		switch {
		case errors.Is(err, errTooLong):
			c.answer(f.stream(), codes.ResourceExhausted, "a message of %d bytes: %d are the most", f.length(), maxFrame)
			continue
		case err != nil:
			return
		}
		if c.passOn(f) {
			continue
		}
		if _, err := c.ours.Write(f); err != nil {
			return
		}
	}
}

// passOn passes a frame on, or answers it, unless it is for our server.
func (c *client) passOn(f frame) bool {
	if f.kind() != typeRequest {
		return c.passOnData(f)
	}
	service, timeout, err := f.request()
	switch {
	case err != nil || c.relay.Ours[service]:
		return false
	case c.relay.Upstream == "":
		c.answer(f.stream(), codes.Unimplemented, "%s: not served here, and no other server is known to pass it on to", service)
	case !c.begin(f, service, timeout):
		c.answer(f.stream(), codes.Unavailable, "%s at %s: it takes no requests at present", service, c.relay.Upstream)
	}
	return true
}

// passOnData is passOn for a stream that is open.
func (c *client) passOnData(f frame) bool {
	c.mu.Lock()
	e := c.waiting[f.stream()]
	c.mu.Unlock()
	if e == nil {
		return false
	}
	if !e.up.push(f) && c.end(f.stream(), e) {
		c.answer(f.stream(), codes.ResourceExhausted, "%s at %s: it does not read what is sent", e.service, c.relay.Upstream)
	}
	return true
}

// reply writes a frame to the client, and wipes it: it may hold a secret.
func (c *client) reply(f frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	defer clear(f)
	_, err := c.conn.Write(f)
	return err
}

// answer ends a stream in the place of a server. Where the client is gone nobody is
// there to be told.
func (c *client) answer(stream uint32, code codes.Code, format string, args ...any) {
	_ = c.reply(statusFrame(stream, code, format, args...))
}

package keyservice

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

const (
	// maxQueued is how many bytes wait for an upstream server that does not read.
	maxQueued = 2 * maxFrame
	// overdueGrace is how long an answer may come after its time: the server's own
	// says more than ours.
	overdueGrace = time.Second
	// backlogTime is how long a server that is there may not accept.
	backlogTime  = 10 * time.Second
	backlogPause = 10 * time.Millisecond
)

// upstream is a connection to the other server.
type upstream struct {
	client *client
	ctx    context.Context
	close  context.CancelFunc

	mu     sync.Mutex
	queue  []frame
	queued int           // bytes of queue
	wake   chan struct{} // holds something when queue may
}

// begin passes a request on, over a new connection where none is open.
func (c *client) begin(f frame, service string, timeout time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up == nil {
		c.up = &upstream{client: c, wake: make(chan struct{}, 1)}
		c.up.ctx, c.up.close = context.WithCancel(context.Background())
		go c.up.run()
	}
	if !c.up.push(f) {
		return false
	}
	e := &exchange{service: service, up: c.up}
	if timeout > 0 {
		e.overdue = time.AfterFunc(timeout+overdueGrace, func() {
			if c.end(f.stream(), e) {
				c.answer(f.stream(), codes.DeadlineExceeded, "%s at %s: no answer in time", service, c.relay.Upstream)
			}
		})
	}
	c.waiting[f.stream()] = e
	return true
}

// end forgets a stream, and reports whether it was still waited for. With the last
// one the connection ends, so that a server which is started again meanwhile is
// found.
func (c *client) end(stream uint32, e *exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e == nil || c.waiting[stream] != e {
		return false
	}
	c.forget(stream, e)
	return true
}

func (c *client) forget(stream uint32, e *exchange) {
	if e.overdue != nil {
		e.overdue.Stop()
	}
	delete(c.waiting, stream)
	if len(c.waiting) == 0 && c.up != nil {
		c.up.close()
		c.up = nil
	}
}

func (c *client) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for stream, e := range c.waiting {
		c.forget(stream, e)
	}
}

// push queues a frame, which it does not wait for. It refuses more than is
// reasonable.
func (u *upstream) push(f frame) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.queued+len(f) > maxQueued {
		return false
	}
	u.queue, u.queued = append(u.queue, f), u.queued+len(f)
	select {
	case u.wake <- struct{}{}:
	default:
	}
	return true
}

func (u *upstream) take() (queue []frame) {
	u.mu.Lock()
	defer u.mu.Unlock()
	queue, u.queue, u.queued = u.queue, nil, 0
	return queue
}

// run ends with the connection, and answers what has no other answer.
func (u *upstream) run() {
	defer u.close()
	conn, err := u.dial()
	if err == nil {
		defer conn.Close()
		defer context.AfterFunc(u.ctx, func() { conn.Close() })()
		written := make(chan struct{})
		go func() { defer close(written); u.write(conn) }()
		err = u.read(conn)
		u.close()
		conn.Close()
		<-written
	}
	u.client.failed(u, err)
}

// dial waits for a server that has many clients at once to accept.
func (u *upstream) dial() (net.Conn, error) {
	var d net.Dialer
	for end := time.Now().Add(backlogTime); ; {
		conn, err := d.DialContext(u.ctx, "unix", u.client.relay.Upstream)
		if !errors.Is(err, unix.EAGAIN) || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-time.After(backlogPause):
		case <-u.ctx.Done():
			return nil, context.Cause(u.ctx)
		}
	}
}

func (u *upstream) write(conn net.Conn) {
	for {
		for _, f := range u.take() {
			if _, err := conn.Write(f); err != nil {
				conn.Close() // which the reader sees
				return
			}
		}
		select {
		case <-u.wake:
		case <-u.ctx.Done():
			return
		}
	}
}

func (u *upstream) read(conn net.Conn) error {
	for {
		f, err := readFrame(conn)
		c := u.client
		switch {
		case errors.Is(err, errTooLong):
			f = statusFrame(f.stream(), codes.ResourceExhausted, "the answer has %d bytes: %d are the most", f.length(), maxFrame)
		case err != nil:
			return err
		}
		c.mu.Lock()
		e := c.waiting[f.stream()]
		c.mu.Unlock()
		if e == nil || e.up != u {
			continue // its time was over
		}
		if f.isLast() && !c.end(f.stream(), e) {
			continue
		}
		if err := c.reply(f); err != nil {
			return err
		}
	}
}

// failed answers what waits for a connection that has ended.
func (c *client) failed(u *upstream, err error) {
	c.mu.Lock()
	left := map[uint32]*exchange{}
	for stream, e := range c.waiting {
		if e.up == u {
			left[stream] = e
		}
	}
	for stream, e := range left {
		c.forget(stream, e)
	}
	if c.up == u {
		c.up = nil
	}
	c.mu.Unlock()
	if len(left) > 0 {
		c.relay.Log.Warn("requests could not be passed on", "upstream", c.relay.Upstream, "requests", len(left), "err", err)
	}
	for stream, e := range left {
		c.answer(stream, codes.Unavailable, "%s at %s: %v", e.service, c.relay.Upstream, err)
	}
}

package keyservice

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
)

// overdueGrace is how long an answer may come after its time: the server's own
// says more than ours.
const overdueGrace = time.Second

// exchange is a stream that the other server has not ended.
type exchange struct {
	service string
	up      *upstream
	overdue *time.Timer // nil: it may take for ever
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

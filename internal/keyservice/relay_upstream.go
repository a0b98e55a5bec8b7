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

package guestpull

import (
	"sync"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// leastPace is what a registry has to send, in bytes for each second that it
	// is waited for: less is as good as nothing.
	leastPace = 1 << 10
	// sharedPace is what it has to send for another pull to go on waiting for a
	// layer that comes from there. That pull may know a better one.
	sharedPace = 64 << 10
	// sharedPatience is how long the other pull waits before it looks, at most.
	sharedPatience = 5 * time.Second
)

// floor refuses a registry that sends something, and takes for ever.
type floor struct {
	idle   time.Duration
	bytes  int64
	waited time.Duration
}

// add takes what came, and how long it was waited for.
func (f *floor) add(n int, waited time.Duration) error {
	f.bytes, f.waited = f.bytes+int64(n), f.waited+waited
	if f.waited < f.idle {
		return nil
	}
	got, in := f.bytes, f.waited
	f.bytes, f.waited = 0, 0
	if got >= bytesIn(leastPace, in) {
		return nil
	}
	return refuse(ErrRegistry, "try again, or allow it a longer silence", "the registry sent %d bytes in %v: less than %s a second", got, in.Round(time.Millisecond), humanize.IBytes(leastPace))
}

func bytesIn(perSecond int64, d time.Duration) int64 {
	return int64(float64(perSecond) * d.Seconds())
}

// pace is how a layer comes from its registry, for those who wait for it.
type pace struct {
	mu     sync.Mutex
	bytes  int64
	waited time.Duration
	since  time.Time // the registry is being waited for; zero: it is not
}

func (p *pace) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = now
}

// end takes what came, and returns how long it was waited for.
func (p *pace) end(began time.Time, n int) time.Duration {
	waited := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.bytes, p.waited = time.Time{}, p.bytes+int64(n), p.waited+waited
	return waited
}

// now is how much came so far, and how long it was waited for.
func (p *pace) now() (bytes int64, waited time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() {
		return p.bytes, p.waited + time.Since(p.since)
	}
	return p.bytes, p.waited
}

// slow reports, at each call, whether since the last one the layer did little but
// wait for its registry, and that sent less than is worth waiting for.
func (p *pace) slow() func() bool {
	lastBytes, lastWaited := p.now()
	last := time.Now()
	return func() bool {
		bytes, waited := p.now()
		window, idle, got := time.Since(last), waited-lastWaited, bytes-lastBytes
		last, lastBytes, lastWaited = time.Now(), bytes, waited
		return idle > window/2 && got < bytesIn(sharedPace, idle)
	}
}

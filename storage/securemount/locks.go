package securemount

import (
	"context"
	"sync"
)

// locks are held by name, one holder each. Who takes several takes those of one
// kind before those of the next: requests, mount points, then devices.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free
}

// acquire waits for a lock until ctx ends.
func (l *locks) acquire(ctx context.Context, name string) (release func(), err error) {
	for {
		free := l.try(name)
		if free == nil {
			return func() { l.release(name) }, nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes a lock, or returns what is closed when it is free.
func (l *locks) try(name string) (free chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if free, taken := l.held[name]; taken {
		return free
	}
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	l.held[name] = make(chan struct{})
	return nil
}

func (l *locks) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[name])
	delete(l.held, name)
}

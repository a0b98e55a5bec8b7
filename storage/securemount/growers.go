package securemount

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/trusted-store/trusted-store/storage"
)

// growers grow stores in the background, one goroutine for each.
type growers struct {
	log *slog.Logger

	full bool // all stores, whatever their size

	mu        sync.Mutex
	closed    bool
	byName    map[string]*grower
	suspended map[string]*suspension
}

type grower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start grows a store to its full size, or as it fills, unless that is under way.
func (g *growers) start(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.byName[name] != nil || g.suspended[name] != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	one := &grower{cancel, make(chan struct{})}
	if g.byName == nil {
		g.byName = map[string]*grower{}
	}
	g.byName[name] = one
	go g.run(ctx, name, one)
}

func (g *growers) run(ctx context.Context, name string, one *grower) {
	defer close(one.done)
	defer one.cancel()
	reports, full := 0, false // the first comes before anything is done
	asUsed, err := g.asUsed(ctx, name)
	if err == nil {
		err = storage.Grow(ctx, name, storage.GrowOptions{Follow: true, AsUsed: asUsed, Logger: g.log, Progress: func(p storage.Progress) {
			reports, full = reports+1, p.Done >= p.Total
		}})
	}
	g.mu.Lock()
	delete(g.byName, name)
	g.mu.Unlock()
	switch {
	case err == nil && reports > 1 && full:
		g.log.Info("store has its full size", "store", name)
	case err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrNotFound): // somebody else closed it
		g.log.Warn("growing has stopped; the store can be used at the size it has", "store", name, "err", err)
	}
}

// asUsed reports whether a store is to grow no further than it fills.
func (g *growers) asUsed(ctx context.Context, name string) (bool, error) {
	live, err := storage.StatusOf(ctx, name)
	if err != nil {
		return false, err
	}
	return live.TagMemory != nil || !g.full && !atOnce(live.Growth), nil
}

// atOnce reports whether a store is too small to be worth growing as it fills.
func atOnce(growth *storage.Growth) bool {
	return growth == nil || growth.Target <= DefaultMinSize
}

// growTo grows a store while the caller waits. What grows it in the background, and
// perhaps waits for it to fill, stands back meanwhile.
func (s *Server) growTo(ctx context.Context, name string, size uint64) error {
	defer s.growers.suspend(name)()
	return storage.Grow(ctx, name, storage.GrowOptions{Size: size, Follow: true, Logger: s.log})
}

// suspension is of one store.
type suspension struct {
	holders int
	stopped bool // something grew it
}

// suspend stops growing a store until all who did so have resumed it.
func (g *growers) suspend(name string) (resume func()) {
	g.mu.Lock()
	if g.suspended == nil {
		g.suspended = map[string]*suspension{}
	}
	if g.suspended[name] == nil {
		g.suspended[name] = &suspension{}
	}
	s := g.suspended[name]
	s.holders++
	s.stopped = s.stopped || g.byName[name] != nil
	g.mu.Unlock()
	g.stop(name)
	return func() { g.resume(name, s) }
}

func (g *growers) resume(name string, s *suspension) {
	g.mu.Lock()
	s.holders--
	last := s.holders == 0
	if last {
		delete(g.suspended, name)
	}
	g.mu.Unlock()
	if last && s.stopped {
		g.start(name)
	}
}

// stop waits for the step under way, and returns what goes on with the growing.
func (g *growers) stop(name string) (resume func()) {
	g.mu.Lock()
	one := g.byName[name]
	g.mu.Unlock()
	if one == nil {
		return func() {}
	}
	one.cancel()
	<-one.done
	return func() { g.start(name) }
}

func (g *growers) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.byName)
}

// close stops all of them for good; the stores keep the size they have.
func (g *growers) close() {
	g.mu.Lock()
	g.closed = true
	var all []*grower
	for _, one := range g.byName {
		all = append(all, one)
	}
	g.mu.Unlock()
	for _, one := range all {
		one.cancel()
	}
	for _, one := range all {
		<-one.done
	}
}

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

	mu     sync.Mutex
	closed bool
	byName map[string]*grower
}

type grower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start grows a store to its full size, or as it fills where that costs memory,
// unless that is under way.
func (g *growers) start(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.byName[name] != nil {
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
	err := storage.Grow(ctx, name, storage.GrowOptions{Follow: true, AsUsed: true, Logger: g.log, Progress: func(p storage.Progress) {
		reports, full = reports+1, p.Done >= p.Total
	}})
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

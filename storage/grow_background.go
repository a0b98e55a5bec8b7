package storage

import (
	"context"
	"log/slog"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// growing is the goroutine of a Store that grows its filesystem.
type growing struct {
	cancel context.CancelFunc
	asUsed bool
	done   chan struct{} // closed when it has ended
	err    error         // why it ended early; to be read once done is closed
	log    *slog.Logger
}

// startGrowing lets a goroutine grow the store. It outlives the context of the
// call that made the store.
func (s *Store) startGrowing(asUsed bool, log *slog.Logger) {
	if s.mountPoint == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &growing{cancel: cancel, asUsed: asUsed, done: make(chan struct{}), log: log}
	s.growing.Store(g)
	go func() {
		defer close(g.done)
		// On a machine with one CPU a step would keep it from whoever made the store.
		if g.err = pause(ctx, stepPause); g.err == nil {
			g.err = growByName(ctx, s.name, GrowOptions{Follow: true, AsUsed: asUsed, Logger: log})
		}
		if g.err != nil && ctx.Err() == nil {
			log.Warn("growing has stopped; the store can be used at the size it has", "store", s.name, "err", g.err)
		}
	}()
}

func growByName(ctx context.Context, name string, opts GrowOptions) error {
	control, err := dm.Open()
	if err != nil {
		return err
	}
	mapping, err := control.Info(name)
	control.Close()
	if err != nil {
		return err
	}
	return grow(ctx, mapping, opts)
}

// stopGrowing waits for the step under way, and returns what goes on with the
// growing.
func (s *Store) stopGrowing() (resume func()) {
	g := s.growing.Load()
	if g == nil {
		return func() {}
	}
	g.cancel()
	<-g.done
	return func() {
		if g.err != nil {
			s.startGrowing(g.asUsed, g.log)
		}
	}
}

// Grown waits until the filesystem has its full size, ctx ends, or growing in the
// background has failed or was stopped by Close. A store that does not grow in
// the background, or only as it fills, is not waited for: there it returns nil at
// once.
func (s *Store) Grown(ctx context.Context) error {
	g := s.growing.Load()
	if g == nil || g.asUsed {
		return nil
	}
	select {
	case <-g.done:
		return failure("grow", s.name, "", g.err)
	case <-ctx.Done():
		return failure("grow", s.name, "", context.Cause(ctx))
	}
}

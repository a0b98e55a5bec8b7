package securemount

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/trusted-store/trusted-store/storage"
)

// settleTime is how long another process may take between two mappings of a store
// that it is making.
const settleTime = 500 * time.Millisecond

// Adopt looks at the stores that are live, those of an earlier Server among them.
// What that one left half-made is taken away, as far as its name tells that it was
// ours, and what has not its full size grows on.
func (s *Server) Adopt(ctx context.Context) error {
	list, err := storage.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if left := leftovers(ctx, list); len(left) > 0 {
		errs = append(errs, s.sweep(ctx, left))
	}
	for i := range list {
		if growable(&list[i]) {
			s.log.Info("growing goes on", "store", list[i].Name)
			s.growers.start(list[i].Name)
		}
	}
	return errors.Join(errs...)
}

// growable reports whether there is something left to grow.
func growable(live *storage.Status) bool {
	return live.Growth != nil && !live.Growth.Full() && len(live.Mounts) > 0 &&
		!strings.HasPrefix(live.Mounts[0].Options+",", "ro,")
}

// leftovers returns the names of stores that somebody is making, or that a process
// left half-made.
func leftovers(ctx context.Context, list []storage.Status) map[string]bool {
	names := map[string]bool{}
	for i := range list {
		ours := strings.HasPrefix(list[i].Name, storage.NamePrefix)
		if left, err := halfMade(ctx, &list[i]); ours && left && err == nil {
			names[list[i].Name] = true
		}
	}
	return names
}

// sweep takes away what is still half-made after a while.
func (s *Server) sweep(ctx context.Context, before map[string]bool) error {
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	list, err := storage.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name := range leftovers(ctx, list) {
		if before[name] {
			s.log.Warn("taking away what was left half-made", "store", name)
			errs = append(errs, s.takeAway(ctx, name))
		}
	}
	return errors.Join(errs...)
}

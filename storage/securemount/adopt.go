package securemount

import (
	"context"
	"strings"

	"github.com/trusted-store/trusted-store/storage"
)

// Adopt looks at the stores that are live, those of an earlier Server among them.
// What has not its full size grows on, and what bears the mark of a process that died
// while it made, opened or closed a store is taken away; both happen in the background,
// until Close. From then on blocks that cannot be authenticated are told, of any store.
// Adopt itself asks the kernel only, and no device.
func (s *Server) Adopt(ctx context.Context) error {
	list, err := storage.List(ctx)
	if err != nil {
		return err
	}
	s.sweeps.Go(s.watchIntegrity)
	for i := range list {
		live := &list[i]
		switch {
		case live.Unfinished:
			s.sweeps.Go(func() { s.sweep(live.Name, live.DeviceNumber) })
		case growable(live):
			s.log.Info("growing goes on", "store", live.Name)
			s.growers.start(live.Name)
		}
	}
	return nil
}

// sweep takes a store away unless somebody works at it: a request for its device does
// it otherwise.
func (s *Server) sweep(name, device string) {
	release, err := s.locks.acquire(s.open, deviceLock(device))
	if err != nil {
		return
	}
	defer release()
	if err := s.takeUnfinished(s.open, name); err != nil {
		s.log.Warn("half-made store stays", "store", name, "device", device, "err", err)
		return
	}
	s.log.Warn("half-made store was taken away", "store", name, "device", device)
}

// growable reports whether there is something left to grow.
func growable(live *storage.Status) bool {
	return live.Growth != nil && !live.Growth.Full() && len(live.Mounts) > 0 &&
		!strings.HasPrefix(live.Mounts[0].Options+",", "ro,")
}

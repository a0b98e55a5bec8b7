package securemount

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// watchPause is how often a store is looked at: no kernel tells of its changes, but for
// blocks that fail.
const watchPause = time.Second

// WatchVolume is part of the protocol.
func (s *Server) WatchVolume(ctx context.Context, req *stores.WatchVolumeRequest, to stores.Stores_WatchVolumeServer) error {
	live, err := find(ctx, req.GetStore())
	if err != nil {
		return statusOf(err)
	}
	_, told := s.integrity.since(0, live.UUID)
	if err := to.Send(event(stores.VolumeEvent_KIND_STATE, live)); err != nil {
		return err
	}
	for ticks := time.NewTicker(watchPause); ; {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			ticks.Stop()
			return statusOf(context.Cause(ctx))
		}
		now, err := storage.StatusOf(ctx, live.Name)
		if errors.Is(err, storage.ErrNotFound) || err == nil && now.UUID != live.UUID {
			ticks.Stop()
			return to.Send(&stores.VolumeEvent{Kind: stores.VolumeEvent_KIND_CLOSED})
		}
		if err != nil {
			continue // it may be on its way
		}
		events := changes(live, now)
		var failed []storage.IntegrityEvent
		failed, told = s.integrity.since(told, now.UUID)
		for _, f := range failed {
			e := event(stores.VolumeEvent_KIND_INTEGRITY_ERROR, now)
			e.Unreadable = unreadable(f.Unreadable)
			events = append(events, e)
		}
		for _, e := range events {
			if err := to.Send(e); err != nil {
				ticks.Stop()
				return err
			}
		}
		live = now
	}
}

func event(kind stores.VolumeEvent_Kind, live *storage.Status) *stores.VolumeEvent {
	return &stores.VolumeEvent{Kind: kind, Store: message(live), IntegrityErrors: uint64(live.IntegrityErrors.AtLeast)}
}

// changes tells what is different now.
func changes(before, now *storage.Status) (events []*stores.VolumeEvent) {
	if before.DeviceNumber != "" && (now.DeviceNumber == "" || isGone(now.DeviceNumber)) && !isGone(before.DeviceNumber) {
		events = append(events, event(stores.VolumeEvent_KIND_DEVICE_GONE, now))
	}
	if before.Growth != nil && now.Growth != nil && now.Growth.Bytes != before.Growth.Bytes {
		events = append(events, event(stores.VolumeEvent_KIND_GROWN, now))
	}
	return events
}

func isGone(device string) bool {
	_, err := os.Stat("/sys/dev/block/" + device)
	return errors.Is(err, fs.ErrNotExist)
}

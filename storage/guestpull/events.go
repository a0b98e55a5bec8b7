package guestpull

import (
	"slices"
	"sync"

	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// events keeps, of the layers of a pull, the latest that was not told yet.
type events struct {
	mu      sync.Mutex
	byLayer map[uint32]*stores.PullEvent
	ended   bool
	wake    chan struct{} // holds something when there is something to do
}

func newEvents() *events {
	return &events{byLayer: map[uint32]*stores.PullEvent{}, wake: make(chan struct{}, 1)}
}

func (e *events) report(p Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	done := uint64(max(p.Done, 0))
	if p.State != LayerPulling {
		done = uint64(max(p.Total, 0))
	}
	e.byLayer[uint32(p.Number)] = &stores.PullEvent{
		Layer: uint32(p.Number), Layers: uint32(p.Of), LayerDigest: p.Digest, Done: done, Total: uint64(max(p.Total, 0)),
	}
	e.notify()
}

func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.notify()
}

func (e *events) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take returns what there is to tell, in the order of the layers.
func (e *events) take() (list []*stores.PullEvent, ended bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.byLayer {
		list = append(list, one)
	}
	clear(e.byLayer)
	slices.SortFunc(list, func(a, b *stores.PullEvent) int { return int(a.Layer) - int(b.Layer) })
	return list, e.ended
}

// sendTo tells events until the end.
func (e *events) sendTo(to stores.Images_PullImageServer) error {
	for range e.wake {
		list, ended := e.take()
		for _, one := range list {
			if err := to.Send(one); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
	}
	return nil
}

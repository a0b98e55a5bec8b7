package guestpull

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

// slowReader takes one event at a time.
type slowReader struct {
	stores.Images_PullImageServer
	events chan *stores.PullEvent
}

func (r slowReader) Send(e *stores.PullEvent) error {
	r.events <- e
	return nil
}

// Whoever reads slowly holds nothing up, and gets the last event of each layer.
func TestEventsOfAPull(t *testing.T) {
	e, r := newEvents(), slowReader{events: make(chan *stores.PullEvent)}
	sent := make(chan error, 1)
	go func() { sent <- e.sendTo(r); close(r.events) }()
	for done := range int64(1000) {
		for layer := 1; layer <= 3; layer++ {
			e.report(Progress{Number: layer, Of: 3, State: LayerPulling, Done: done, Total: 1000})
		}
	}
	e.report(Progress{Number: 1, Of: 3, State: LayerDone, Total: 1000})
	e.end()
	last := map[uint32]uint64{}
	for event := range r.events {
		require.GreaterOrEqual(t, event.Done, last[event.Layer])
		last[event.Layer] = event.Done
		require.Equal(t, uint32(3), event.Layers)
	}
	require.NoError(t, <-sent)
	require.Equal(t, map[uint32]uint64{1: 1000, 2: 999, 3: 999}, last)
}

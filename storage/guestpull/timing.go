package guestpull

import (
	"sync"
	"time"
)

// Timing says what the layers of a pull waited for, added up over all of them:
// with three at a time the sum is up to three times what the pull took. In JSON
// these are nanoseconds.
type Timing struct {
	Network    time.Duration `json:"network"`    // for bytes of the registry
	Decompress time.Duration `json:"decompress"` // and for both hashes
	Write      time.Duration `json:"write"`      // files into the store
}

type timing struct {
	mu    sync.Mutex
	total Timing
}

func (t *timing) add(all, reading, network time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Network += network
	t.total.Decompress += reading - network
	t.total.Write += all - reading
}

func (t *timing) sum() Timing {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

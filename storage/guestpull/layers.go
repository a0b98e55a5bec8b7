package guestpull

import (
	"context"
	"errors"
	"os"

	"github.com/opencontainers/go-digest"
)

// layer is a directory layers/N, whole or on the way. Layers are known by chain
// ID, which stands for a layer and all below it: what a directory that a layer
// only passes through looks like depends on those.
type layer struct {
	n     int
	users int // pulls under way that count on it; guarded by Images.mu
	saved bool
	done  chan struct{} // closed once it is whole, or err says why not
	err   error
	bytes int64 // of files
}

func layerOnStore(l indexLayer) *layer {
	whole := &layer{n: l.Dir, bytes: l.Bytes, saved: true, done: make(chan struct{})}
	close(whole.done)
	return whole
}

// failed reports whether the layer will never be whole.
func (l *layer) failed() bool {
	select {
	case <-l.done:
		return l.err != nil
	default:
		return false
	}
}

// claim returns the layer of a chain. mine says that the caller has to make it,
// and to close done.
func (im *Images) claim(chain digest.Digest) (l *layer, mine bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if l := im.layers[chain]; l != nil {
		l.users++
		return l, false
	}
	l = &layer{n: im.next, users: 1, done: make(chan struct{})}
	im.next++
	im.layers[chain] = l
	return l, true
}

// drop gives a claim back. A layer that is no image's and that nobody counts on
// any more is removed.
func (im *Images) drop(chain digest.Digest, l *layer) error {
	im.mu.Lock()
	l.users--
	last := l.users == 0 && !l.saved
	if im.layers[chain] == l && (last || l.failed()) {
		delete(im.layers, chain)
	}
	im.mu.Unlock()
	if !last {
		return nil
	}
	return os.RemoveAll(im.layerDir(l.n))
}

// get returns the whole layer of a chain, made by the caller or by another pull.
// When that other one fails, the caller makes it.
func (im *Images) get(ctx context.Context, chain digest.Digest, produce func(*layer) error) (*layer, bool, error) {
	for {
		l, mine := im.claim(chain)
		if mine {
			l.err = produce(l)
			close(l.done)
			return l, true, l.err
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return l, false, ctx.Err()
		}
		if l.err == nil {
			return l, false, nil
		}
		if err := errors.Join(im.drop(chain, l), ctx.Err()); err != nil {
			return nil, false, err
		}
	}
}

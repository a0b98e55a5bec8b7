package guestpull

import (
	"context"
	"errors"
	"os"
	"time"

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

	pace   pace
	cancel context.CancelCauseFunc // ends its making
	rival  *layer                  // under way before it, too slowly; guarded by Images.mu
}

var (
	// errOvertaken: the layer was whole elsewhere first.
	errOvertaken = errors.New("overtaken by another pull")
	// errSlow: the layer is not worth waiting for.
	errSlow = errors.New("too slow to wait for")
)

func layerOnStore(l indexLayer) *layer {
	whole := &layer{n: l.Dir, bytes: l.Bytes, saved: true, done: make(chan struct{})}
	close(whole.done)
	return whole
}

func (l *layer) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// claim returns the layer of a chain, unless that is the slow one. mine says that
// the caller has to make it, with that context.
func (im *Images) claim(ctx context.Context, chain digest.Digest, slow *layer) (l *layer, making context.Context, mine bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	current := im.layers[chain]
	if current != nil && current != slow {
		current.users++
		return current, nil, false
	}
	l = &layer{n: im.next, users: 1, done: make(chan struct{}), rival: current}
	making, l.cancel = context.WithCancelCause(ctx)
	im.next++
	im.layers[chain] = l
	return l, making, true
}

// drop gives a claim back. A layer that is no image's and that nobody counts on
// any more is removed.
func (im *Images) drop(chain digest.Digest, l *layer) error {
	im.mu.Lock()
	l.users--
	last := l.users == 0 && !l.saved
	if im.layers[chain] == l && (last || l.ended() && l.err != nil) {
		delete(im.layers, chain)
	}
	im.mu.Unlock()
	if !last {
		return nil
	}
	return os.RemoveAll(im.layerDir(l.n))
}

// production is how a pull comes to a layer.
type production struct {
	make func(context.Context, *layer) error
	// waits is called before it waits for another pull that makes it.
	waits func()
}

// get returns the whole layer of a chain, made by the caller or by another pull.
// When that other one fails, or its registry hardly sends anything, the caller
// makes it.
func (im *Images) get(ctx context.Context, chain digest.Digest, p production) (*layer, bool, error) {
	var slow *layer
	for {
		l, making, mine := im.claim(ctx, chain, slow)
		var err error
		if mine {
			err = im.make(making, chain, l, p.make)
		} else {
			p.waits()
			err = im.wait(ctx, l)
		}
		if err == nil || mine && !errors.Is(err, errOvertaken) {
			return l, mine, err
		}
		if slow = nil; errors.Is(err, errSlow) {
			slow = l
		}
		if err := errors.Join(im.drop(chain, l), ctx.Err()); err != nil {
			return nil, false, err
		}
	}
}

// make makes a layer that was claimed.
func (im *Images) make(making context.Context, chain digest.Digest, l *layer, produce func(context.Context, *layer) error) error {
	defer l.cancel(nil)
	err := produce(making, l)
	if err != nil && errors.Is(context.Cause(making), errOvertaken) {
		err = errOvertaken
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if err == nil {
		err = im.overtake(chain, l)
	}
	l.err = err
	close(l.done)
	return err
}

// overtake makes a whole layer the one of its chain, and ends the others that are
// on the way; unless one was whole before. im.mu must be held.
func (im *Images) overtake(chain digest.Digest, l *layer) error {
	current := im.layers[chain]
	if current != nil && current != l && current.ended() && current.err == nil {
		return errOvertaken
	}
	for other := current; other != nil; other = other.rival {
		if other != l && !other.ended() {
			other.cancel(errOvertaken)
		}
	}
	im.layers[chain], l.rival = l, nil
	return nil
}

// wait waits for a layer that another pull makes, as long as that makes progress.
func (im *Images) wait(ctx context.Context, l *layer) error {
	slow := l.pace.slow()
	for {
		select {
		case <-l.done:
			return l.err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(sharedPatience, im.opts.IdleTimeout)):
			if slow() && !l.ended() {
				return errSlow
			}
		}
	}
}

package guestpull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Image is an image that is whole on the store.
type Image struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"` // of its manifest
	Layers []Layer       `json:"layers"` // the lowest first
	RootFS string        `json:"rootfs,omitempty"`
	// Verified says what the policy wanted and what met it, one for each
	// requirement. Empty: there is no policy.
	Verified []Verified `json:"verified,omitempty"`
	Timing   Timing     `json:"timing"`
}

// Layer is one layer of an image, unpacked in layers/Dir of the store.
type Layer struct {
	Digest   digest.Digest `json:"digest"`  // compressed
	DiffID   digest.Digest `json:"diff_id"` // unpacked
	Dir      int           `json:"dir"`
	Bytes    int64         `json:"bytes"`    // of its files
	Existing bool          `json:"existing"` // was not pulled for this image
}

// Pull pulls the image of that name onto the store and, if a bundle is given,
// mounts it there with a writable layer of its own.
//
// Layers that the store has are not pulled again. After a failure, or when ctx
// ends, nothing of the pull is left on the store; only when it is the mount that
// fails does the image stay.
func (im *Images) Pull(ctx context.Context, name string, opts PullOptions) (*Image, error) {
	began := time.Now()
	opts.setDefaults()
	p := &pull{im: im, name: name, opts: opts}
	image, err := p.run(ctx)
	err = failure("pull", name, p.step, p.interrupted(ctx, err))
	if im.opts.Pulled != nil {
		im.opts.Pulled(time.Since(began), p.received.Load(), err)
	}
	return image, err
}

// pull is a Pull under way.
type pull struct {
	im   *Images
	name string
	opts PullOptions
	step string

	registry *registry
	manifest *manifest
	budgets  *budgets
	slots    chan struct{}
	ready    []chan struct{} // closed when a layer and all below it are whole
	dirs     []int           // of the layers; valid once ready
	store    int             // the directory of the layers, open

	received atomic.Uint64 // bytes of layers

	mu     sync.Mutex
	claims map[digest.Digest]*layer
	layers []Layer
	timing timing
}

// interrupted makes every way in which an ended context shows the same.
func (p *pull) interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (p *pull) run(ctx context.Context) (image *Image, err error) {
	ref, err := parseName(p.name)
	if err != nil {
		return nil, err
	}
	if err := p.im.checkBundle(p.opts.Bundle); err != nil {
		return nil, err
	}
	places, err := newRegistries(ctx, ref, p.im.opts)
	if err != nil {
		return nil, err
	}
	defer places.close()
	p.step = "open store"
	if err := p.im.begin(ctx); err != nil {
		return nil, err
	}
	defer p.im.end()
	p.step = "ask registry"
	if p.registry, p.manifest, err = places.resolve(ctx, p.im.opts); err != nil {
		return nil, err
	}
	p.step = "pull layers"
	defer func() { err = errors.Join(err, p.dropClaims()) }()
	if err := p.pullLayers(ctx); err != nil {
		return nil, err
	}
	p.step = "save index"
	if err := p.save(ref.String()); err != nil {
		return nil, err
	}
	image = &Image{Name: ref.String(), Digest: p.manifest.digest, Layers: p.layers, Verified: p.manifest.verified, Timing: p.timing.sum()}
	if p.opts.Bundle != "" {
		p.step = "mount"
		if image.RootFS, err = p.im.mount(ctx, image.Digest, p.dirs, p.opts.Bundle); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// pullLayers pulls what is missing, until all of it is on the disk.
func (p *pull) pullLayers(ctx context.Context) error {
	w, err := startWriteback(p.im.dir)
	if err != nil {
		return err
	}
	if err := p.pullAtOnce(ctx); err != nil {
		w.abandon()
		return err
	}
	return w.finish()
}

// pullAtOnce pulls what is missing, several layers at a time, the lowest first.
func (p *pull) pullAtOnce(ctx context.Context) (err error) {
	room, hint, err := p.im.room(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(p.im.dir, layersName)
	if p.store, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(p.store)) }()
	p.budgets = newBudgets(room, hint)
	n := len(p.manifest.layers)
	p.slots = make(chan struct{}, p.im.opts.ParallelLayers)
	p.dirs, p.layers, p.claims = make([]int, n), make([]Layer, n), map[digest.Digest]*layer{}
	for range n {
		p.ready = append(p.ready, make(chan struct{}))
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		t := &turn{slots: p.slots}
		if t.take(ctx) != nil {
			break
		}
		group.Go(func() error { return failure("pull", p.name, p.layerText(i), p.pullLayer(ctx, i, t)) })
	}
	return group.Wait()
}

func (p *pull) layerText(i int) string {
	return fmt.Sprintf("layer %d of %d, %s", i+1, len(p.ready), p.manifest.layers[i].Digest)
}

// pullLayer pulls a layer whose turn it is.
func (p *pull) pullLayer(ctx context.Context, i int, t *turn) error {
	defer t.give()
	chain := p.manifest.chains[i]
	l, made, err := p.im.get(ctx, chain, production{
		make:  func(ctx context.Context, l *layer) error { return p.produce(ctx, i, l, t) },
		waits: t.give,
	})
	if l != nil {
		p.mu.Lock()
		p.claims[chain] = l
		p.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if !made { // what it makes is counted on the way
		if err := p.budgets.written.take(inBlocks(l.bytes)); err != nil {
			return err
		}
	}
	d := p.manifest.layers[i]
	p.layers[i] = Layer{Digest: d.Digest, DiffID: p.manifest.diffIDs[i], Dir: l.n, Bytes: l.bytes, Existing: !made}
	if made {
		p.report(i, LayerDone, d.Size)
	} else {
		p.report(i, LayerExisting, d.Size)
	}
	p.dirs[i] = l.n
	t.give()
	if err := p.waitBelow(ctx, i); err != nil {
		return err
	}
	close(p.ready[i])
	return nil
}

// save makes the image, all of which is on the disk, one of the store's.
func (p *pull) save(name string) error {
	p.im.mu.Lock()
	defer p.im.mu.Unlock()
	err := p.im.change(func(x *index) {
		for i, l := range p.layers {
			x.Layers[p.manifest.chains[i]] = indexLayer{Dir: l.Dir, Bytes: l.Bytes}
		}
		x.named(p.manifest.digest, indexImage{Chains: p.manifest.chains, Config: p.manifest.config, Verified: p.manifest.verified}, name)
	})
	if err != nil {
		return err
	}
	for _, l := range p.claims {
		l.saved = true
	}
	return nil
}

func (p *pull) dropClaims() error {
	var errs []error
	for chain, l := range p.claims {
		errs = append(errs, p.im.drop(chain, l))
	}
	return errors.Join(errs...)
}

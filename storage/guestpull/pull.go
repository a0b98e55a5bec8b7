package guestpull

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Image is an image that is whole on the store.
type Image struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"` // of its manifest
	Layers []Layer       `json:"layers"` // the lowest first
	RootFS string        `json:"rootfs,omitempty"`
	Timing Timing        `json:"timing"`
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
	opts.setDefaults()
	p := &pull{im: im, name: name, opts: opts}
	image, err := p.run(ctx)
	return image, failure("pull", name, p.step, p.interrupted(ctx, err))
}

// pull is a Pull under way.
type pull struct {
	im   *Images
	name string
	opts PullOptions
	step string

	registry      *registry
	manifest      *manifest
	files, stream *budget // of what is unpacked: the files, and the archives around them
	slots         chan struct{}
	ready         []chan struct{} // closed when a layer and all below it are whole
	dirs          []int           // of the layers; valid once ready

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
	if err := checkBundle(p.opts.Bundle); err != nil {
		return nil, err
	}
	if p.registry, err = newRegistry(ref, p.im.opts); err != nil {
		return nil, err
	}
	defer p.registry.close()
	p.step = "open store"
	if err := p.im.begin(ctx); err != nil {
		return nil, err
	}
	defer p.im.end()
	p.step = "ask registry"
	if p.manifest, err = resolve(ctx, p.registry, ref, p.im.opts.Platform); err != nil {
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
	image = &Image{Name: ref.String(), Digest: p.manifest.digest, Layers: p.layers, Timing: p.timing.sum()}
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

// pullAtOnce pulls what is missing, several layers at a time.
func (p *pull) pullAtOnce(ctx context.Context) error {
	room, err := p.im.room(ctx)
	if err != nil {
		return err
	}
	p.files, p.stream = newBudget(room, 0), newBudget(room, room/8+readAhead)
	n := len(p.manifest.layers)
	p.slots = make(chan struct{}, parallel)
	p.dirs, p.layers, p.claims = make([]int, n), make([]Layer, n), map[digest.Digest]*layer{}
	for range n {
		p.ready = append(p.ready, make(chan struct{}))
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error { return failure("pull", p.name, p.layerText(i), p.pullLayer(ctx, i)) })
	}
	return group.Wait()
}

func (p *pull) layerText(i int) string {
	return fmt.Sprintf("layer %d of %d, %s", i+1, len(p.ready), p.manifest.layers[i].Digest)
}

func (p *pull) pullLayer(ctx context.Context, i int) error {
	chain := p.manifest.chains[i]
	l, made, err := p.im.get(ctx, chain, func(l *layer) error { return p.produce(ctx, i, l) })
	if l != nil {
		p.mu.Lock()
		p.claims[chain] = l
		p.mu.Unlock()
	}
	if err != nil {
		return err
	}
	d := p.manifest.layers[i]
	p.layers[i] = Layer{Digest: d.Digest, DiffID: p.manifest.diffIDs[i], Dir: l.n, Bytes: l.bytes, Existing: !made}
	if made {
		p.report(i, LayerDone, d.Size)
	} else {
		p.report(i, LayerExisting, d.Size)
	}
	p.dirs[i] = l.n
	if err := p.waitBelow(ctx, i); err != nil {
		return err
	}
	close(p.ready[i])
	return nil
}

// produce makes a layer. While it waits for those below it leaves its place to
// others.
func (p *pull) produce(ctx context.Context, i int, l *layer) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	e, err := p.download(ctx, i, p.im.layerDir(l.n))
	<-p.slots
	if err != nil {
		return err
	}
	l.bytes = e.bytes
	if i == 0 || len(e.implied) == 0 {
		return nil
	}
	if err := p.waitBelow(ctx, i); err != nil {
		return err
	}
	return inherit(p.im.layerDir(l.n), e.implied, p.below(i))
}

func (p *pull) download(ctx context.Context, i int, dir string) (*entries, error) {
	d := p.manifest.layers[i]
	if err := newLayerDir(dir); err != nil {
		return nil, err
	}
	body, err := p.registry.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	e, err := p.unpack(ctx, body, d, p.manifest.diffIDs[i], dir, func(done int64) { p.report(i, LayerPulling, done) })
	return e, body.discreet(err)
}

func (p *pull) report(i int, state LayerState, done int64) {
	d := p.manifest.layers[i]
	p.opts.Progress(Progress{Number: i + 1, Of: len(p.ready), Digest: d.Digest.String(), State: state, Done: done, Total: d.Size})
}

func (p *pull) waitBelow(ctx context.Context, i int) error {
	if i == 0 {
		return nil
	}
	select {
	case <-p.ready[i-1]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// below are the directories of the layers below layer i, the highest first.
func (p *pull) below(i int) []string {
	var dirs []string
	for i--; i >= 0; i-- {
		dirs = append(dirs, p.im.layerDir(p.dirs[i]))
	}
	return dirs
}

// save makes the image, all of which is on the disk, one of the store's.
func (p *pull) save(name string) error {
	p.im.mu.Lock()
	defer p.im.mu.Unlock()
	err := p.im.change(func(x *index) {
		for i, l := range p.layers {
			x.Layers[p.manifest.chains[i]] = indexLayer{Dir: l.Dir, Bytes: l.Bytes}
		}
		x.named(p.manifest.digest, indexImage{Chains: p.manifest.chains, Config: p.manifest.config}, name)
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

package guestpull

import (
	"context"
	"time"
)

// turn is the place of a layer among those of a pull that are pulled at a time.
type turn struct {
	slots chan struct{}
	held  bool
}

func (t *turn) take(ctx context.Context) error {
	if t.held {
		return nil
	}
	select {
	case t.slots <- struct{}{}:
		t.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turn) give() {
	if t.held {
		t.held = false
		<-t.slots
	}
}

// produce makes a layer. While it waits for those below it leaves its turn to
// others.
func (p *pull) produce(ctx context.Context, i int, l *layer, t *turn) error {
	began := time.Now()
	l.pace.begin(began)
	err := t.take(ctx)
	l.pace.end(began, 0)
	if err != nil {
		return err
	}
	made, err := p.download(ctx, i, l, t)
	t.give()
	if err != nil {
		return err
	}
	l.bytes = made.bytes
	if i == 0 {
		return nil
	}
	below, err := p.below(ctx, i)
	if err != nil {
		return err
	}
	return settle(ctx, p.im.layerDir(l.n), made.marks, below)
}

// download unpacks a layer as it comes.
func (p *pull) download(ctx context.Context, i int, l *layer, t *turn) (*unpacked, error) {
	d := p.manifest.layers[i]
	if err := p.budgets.compressed.take(d.Size); err != nil {
		return nil, err
	}
	if err := p.budgets.written.take(blockBytes); err != nil {
		return nil, err
	}
	dir := p.im.layerDir(l.n)
	if err := newLayerDir(dir); err != nil {
		return nil, err
	}
	began := time.Now()
	l.pace.begin(began)
	key, err := p.im.opts.layerKey(ctx, d)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	body, err := p.registry.open(reading, d)
	l.pace.end(began, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var told int64
	came := func(done int64) {
		p.received.Add(uint64(done - told))
		told = done
		p.report(i, LayerPulling, done)
	}
	made, err := p.unpack(ctx, &unpacking{
		compressed: &compressed{body: body, stop: stop, is: d, hash: d.Digest.Algorithm().Digester(), pace: &l.pace,
			progress: came},
		key: key, diffID: p.manifest.diffIDs[i], dir: dir, lowest: i == 0,
		below: func() (belowLayers, error) {
			t.give()
			below, err := p.below(ctx, i)
			if err != nil {
				return below, err
			}
			return below, t.take(ctx)
		},
	})
	return made, body.discreet(err)
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

// below are the layers below layer i, once they are whole.
func (p *pull) below(ctx context.Context, i int) (belowLayers, error) {
	b := belowLayers{dir: p.store}
	if err := p.waitBelow(ctx, i); err != nil {
		return b, err
	}
	for i--; i >= 0; i-- {
		b.layers = append(b.layers, p.dirs[i])
	}
	return b, nil
}

package main

import (
	"context"
	"errors"
	"time"
)

// settle is how long a live store is left alone before its memory is looked at.
const settle = 2 * time.Second

// memory measures the most memory that a process of a side has, and what the
// kernel holds for the live, idle store.
func memory(ctx context.Context, in *inside) error {
	// What the kernel and this process take once, they take before.
	if _, err := in.with(ctx, in.grown(), in.disks[0], in.mountPoint(), func() error { return nil }); err != nil {
		return err
	}
	for _, d := range in.disks {
		sides, err := in.memorySides(d)
		if err != nil {
			return err
		}
		for _, s := range sides {
			if err := in.memoryOf(ctx, s, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *inside) memorySides(d disk) ([]side, error) {
	o, keyed := in.grown(), in.grown()
	if d.bytes > in.plan.full {
		o, keyed = in.ours(), in.ours()
	}
	key, err := in.randomKey()
	if err != nil {
		return nil, err
	}
	o.watch, keyed.watch, keyed.title, keyed.key = true, true, keyedSide, key
	tagged := in.tagged(false) // as it is used: at full size it has its whole budget
	tagged.watch = true
	sides := []side{o, tagged, keyed}
	if d.bytes > min(in.plan.peer, workSize) { // in UML mke2fs of larger ones needs more mappings than vm.max_map_count of the host
		return sides, nil
	}
	titles := []string{cheapSide}
	if d.bytes == in.plan.costly {
		titles = append(titles, costlySide)
	}
	for _, title := range titles {
		p, err := in.peer(title)
		if err != nil {
			return nil, err
		}
		p.watch = true
		sides = append(sides, p)
	}
	return sides, nil
}

func (in *inside) memoryOf(ctx context.Context, s side, d disk) error {
	if err := d.blank(); err != nil {
		return err
	}
	before, err := available()
	if err != nil {
		return err
	}
	var after float64
	_, err = in.with(ctx, s, d, in.mountPoint(), func() (err error) {
		time.Sleep(settle)
		after, err = available()
		return err
	})
	return errors.Join(err,
		in.emit("held", s.name(), d.bytes, (before-after)/(1<<20)),
		in.emit("peak", s.name(), d.bytes, peakOf(s)/(1<<20)))
}

func peakOf(s side) float64 {
	switch s := s.(type) {
	case *ours:
		return s.peak
	case *peer:
		return s.peak
	}
	return 0
}

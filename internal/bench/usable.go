package main

import (
	"context"
	"errors"
)

// usable measures how long it takes from a raw disk to a mounted filesystem that
// takes files, at every size.
func usable(ctx context.Context, in *inside) error {
	// A process's first calls take its memory.
	for range 3 {
		if _, err := in.with(ctx, &library{in.caller}, in.disks[0], in.mountPoint(), func() error { return nil }); err != nil {
			return err
		}
	}
	for _, d := range in.disks {
		sides, err := in.usableSides(ctx, d)
		if err != nil {
			return err
		}
		err = in.turns(ctx, sides, d.bytes, func(s side) (map[string]float64, error) {
			took, err := in.timed(ctx, s, d, in.mountPoint())
			return map[string]float64{"usable": took}, errors.Join(err, s.remove(ctx, in.mountPoint()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// usableSides are those that can reach a disk of this size in reasonable time.
func (in *inside) usableSides(ctx context.Context, d disk) ([]side, error) {
	seed, err := in.seedSize(ctx, d)
	if err != nil {
		return nil, err
	}
	sides := []side{&raw{seed: seed}, plain(seed), floor(seed), &library{in.caller}, in.floorProcess(seed), in.ours(), in.tagged(false)}
	var titles []string
	if d.bytes <= in.plan.peer {
		titles = append(titles, cheapSide)
	}
	if d.bytes == in.plan.costly {
		titles = append(titles, costlySide)
	}
	if d.bytes == in.plan.wipe {
		titles = append(titles, wipeSide)
	}
	for _, title := range titles {
		p, err := in.peer(title)
		if err != nil {
			return nil, err
		}
		sides = append(sides, p)
	}
	return sides, nil
}

// full measures how long it takes to the full size. The peer's recipe makes it
// at once: its figure is that of usable.
func full(ctx context.Context, in *inside) error {
	for _, d := range in.disks {
		if d.bytes > in.plan.full {
			continue
		}
		err := in.turns(ctx, []side{in.grown()}, d.bytes, func(s side) (map[string]float64, error) {
			took, err := in.timed(ctx, s, d, in.mountPoint())
			return map[string]float64{"full": took}, errors.Join(err, s.remove(ctx, in.mountPoint()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

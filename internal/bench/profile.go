package main

import (
	"context"
	"errors"
	"os"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// profile measures the choices that dm-integrity and dm-crypt leave, each alone
// against what a store has: with one large file and small files, and the time to
// usable on the largest disk, where blocks far from each other are written.
func profile(ctx context.Context, in *inside) error {
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	if err := d.warm(); err != nil {
		return err
	}
	return errors.Join(in.profileLoad(ctx, d), in.profileUsable(ctx, in.disks[len(in.disks)-1]))
}

// varied is the floor with each of the variants.
func varied(seed uint64) []side {
	var sides []side
	for _, v := range variants {
		b := floor(seed)
		b.title = v.name
		v.change(b.integrity, &b.crypt)
		sides = append(sides, b)
	}
	return sides
}

func (in *inside) profileUsable(ctx context.Context, d disk) error {
	seed, err := in.seedSize(ctx, d)
	if err != nil {
		return err
	}
	return in.turns(ctx, varied(seed), d.bytes, func(s side) (map[string]float64, error) {
		took, err := in.timed(ctx, s, d, in.mountPoint())
		return map[string]float64{"profile-usable": took}, errors.Join(err, s.remove(ctx, in.mountPoint()))
	})
}

func (in *inside) profileLoad(ctx context.Context, d disk) error {
	return in.turns(ctx, varied(d.bytes), d.bytes, func(s side) (map[string]float64, error) {
		values := map[string]float64{}
		dir := in.mountPoint()
		_, err := in.with(ctx, s, d, dir, func() error {
			var write, read, small error
			values["profile-write"], write = writeRate(dir+"/file", in.plan.file/2)
			values["profile-read"], read = readRate(dir+"/file", in.plan.file/2)
			gone := os.Remove(dir + "/file")
			values["profile-small"], small = unpackRate(dir+"/tree", in.plan.files/2)
			return errors.Join(write, read, gone, small)
		})
		return values, err
	})
}

// asStored is the variant that changes nothing.
const asStored = "as in a store"

// variants of the layers below an ephemeral store.
var variants = []struct {
	name   string
	change func(*dm.Integrity, *dm.Crypt)
}{
	{asStored, func(*dm.Integrity, *dm.Crypt) {}},
	{"interleave_sectors:2048", func(i *dm.Integrity, _ *dm.Crypt) { i.InterleaveSectors = 2048 }},
	{"interleave_sectors:262144", func(i *dm.Integrity, _ *dm.Crypt) { i.InterleaveSectors = 262144 }},
	{"buffer_sectors:8", func(i *dm.Integrity, _ *dm.Crypt) { i.BufferSectors = 8 }},
	{"buffer_sectors:1024", func(i *dm.Integrity, _ *dm.Crypt) { i.BufferSectors = 1024 }},
	{"no_read_workqueue", func(_ *dm.Integrity, c *dm.Crypt) { c.Speed.NoReadWorkqueue = true }},
	{"no_write_workqueue the other way", func(_ *dm.Integrity, c *dm.Crypt) { c.Speed.NoWriteWorkqueue = !c.Speed.NoWriteWorkqueue }},
	{"same_cpu_crypt", func(_ *dm.Integrity, c *dm.Crypt) { c.Speed.SameCPU = true }},
	{"submit_from_crypt_cpus", func(_ *dm.Integrity, c *dm.Crypt) { c.Speed.SubmitFromCrypt = true }},
}

package main

import "context"

// raw is the filesystem on the disk itself.
type raw struct {
	seed  uint64
	image *image
}

func (*raw) name() string         { return rawSide }
func (*raw) device(d disk) string { return d.path }

func (r *raw) prepare(d disk) (err error) {
	if r.image != nil {
		if err := r.image.free(); err != nil {
			return err
		}
	}
	r.image, err = record(r.seed, d.bytes)
	return err
}

func (r *raw) make(_ context.Context, d disk, dir string) error {
	return r.image.putAndMount(d.path, dir)
}
func (r *raw) remove(_ context.Context, dir string) error { return unmount(dir) }

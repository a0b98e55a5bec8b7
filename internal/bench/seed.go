package main

import (
	"context"
	"errors"
	"os"

	"github.com/trusted-store/trusted-store/mkfs"
	"github.com/trusted-store/trusted-store/storage"
)

// seedSize asks Create itself how large the filesystem is that it begins with on
// a disk.
func (in *inside) seedSize(ctx context.Context, d disk) (size uint64, err error) {
	if size, known := in.seeds[d.path]; known {
		return size, nil
	}
	if err := d.blank(); err != nil {
		return 0, err
	}
	s, err := storage.Create(ctx, d.path, storage.CreateOptions{Name: mapping, MountPoint: in.mountPoint(), Grow: storage.GrowLater})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f, err := os.Open(s.Path())
	if err != nil {
		return 0, err
	}
	g, err := mkfs.ReadGeometry(f)
	in.seeds[d.path] = g.Size()
	return g.Size(), errors.Join(err, f.Close())
}

// seedOptions are those of the filesystem that Create begins with.
func seedOptions(seed, size uint64) mkfs.Options {
	return mkfs.Options{Size: min(seed, size), GrowTo: size}
}

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// journals measures what the two journals of a persistent store cost: the same
// layers of files into a store with a key (mode J and an ext4 journal) and into
// an ephemeral one (mode D, none).
func journals(ctx context.Context, in *inside) error {
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	key, err := in.randomKey()
	if err != nil {
		return err
	}
	keyed := in.grown()
	keyed.title, keyed.key = keyedSide, key
	return in.turns(ctx, []side{in.grown(), keyed}, d.bytes, func(s side) (map[string]float64, error) {
		values := map[string]float64{}
		_, err := in.with(ctx, s, d, in.mountPoint(), func() (err error) {
			values["layers"], err = writeLayers(in.mountPoint(), in.plan.layers)
			return err
		})
		return values, err
	})
}

const layerFile = 256 << 10 // mean size of a file in a layer

// writeLayers writes files of that size, syncs, and returns the seconds.
func writeLayers(dir string, total int64) (float64, error) {
	data := randomBytes(layerFile)
	began := time.Now()
	for i := range total / layerFile {
		sub := fmt.Sprintf("%s/layers/%d", dir, i/64)
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(fmt.Sprintf("%s/f%d", sub, i), data, 0o644); err != nil {
			return 0, err
		}
	}
	err := syncfs(dir)
	return time.Since(began).Seconds(), err
}

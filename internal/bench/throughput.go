package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// throughput measures one large file, written and read, many small files, and
// closing, through the whole stack of each side; and, without a filesystem, the
// layers alone.
func throughput(ctx context.Context, in *inside) error {
	d, err := in.workDisk()
	if err != nil {
		return err
	}
	if err := d.warm(); err != nil {
		return err
	}
	p, err := in.peer(cheapSide)
	if err != nil {
		return err
	}
	layers := in.ours()
	layers.title = layersSide
	sides := []side{in.grown(), in.tagged(true), layers, p, plain(d.bytes), &raw{seed: d.bytes}}
	return in.turns(ctx, sides, d.bytes, func(s side) (map[string]float64, error) {
		return in.load(ctx, s, d)
	})
}

// load puts one load on a side.
func (in *inside) load(ctx context.Context, s side, d disk) (map[string]float64, error) {
	if s.name() == layersSide {
		return in.loadLayers(ctx, s, d)
	}
	values := map[string]float64{}
	dir := in.mountPoint()
	closed, err := in.with(ctx, s, d, dir, func() (err error) {
		name := dir + "/file"
		if values["write"], err = writeRate(name, in.plan.file); err != nil {
			return err
		}
		if values["read"], err = readRate(name, in.plan.file); err != nil {
			return err
		}
		if err = os.Remove(name); err != nil {
			return err
		}
		values["small"], err = unpackRate(dir+"/tree", in.plan.files)
		return err
	})
	values["close"] = closed
	return values, err
}

func (in *inside) loadLayers(ctx context.Context, s side, d disk) (map[string]float64, error) {
	values := map[string]float64{}
	_, err := in.with(ctx, s, d, "", func() (err error) {
		if values["write"], err = writeRate(s.device(d), in.plan.file); err != nil {
			return err
		}
		values["read"], err = readRate(s.device(d), in.plan.file)
		return err
	})
	return values, err
}

const chunk = 1 << 20

// randomBytes returns bytes that do not compress, the same each time.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// writeRate writes a file, or a device, through the page cache as a pull does,
// to the end of the sync; in MB/s.
func writeRate(name string, size int64) (float64, error) {
	data := randomBytes(chunk)
	unix.Sync()
	began := time.Now()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	for offset := int64(0); offset < size && err == nil; offset += chunk {
		_, err = f.WriteAt(data, offset)
	}
	err = errors.Join(err, f.Sync(), f.Close())
	return rate(size, began), err
}

// readRate reads it again, after the page cache was emptied.
func readRate(name string, size int64) (float64, error) {
	if _, err := available(); err != nil {
		return 0, err
	}
	began := time.Now()
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, chunk)
	for left := size; left > 0; left -= chunk {
		if _, err := io.ReadFull(f, buf); err != nil {
			return 0, err
		}
	}
	return rate(size, began), nil
}

func rate(bytes int64, began time.Time) float64 {
	return float64(bytes) / 1e6 / time.Since(began).Seconds()
}

// unpackRate makes small files in nested directories, as an image layer has
// them, and syncs once at the end; in files a second.
func unpackRate(dir string, files int) (float64, error) {
	data := randomBytes(64 << 10)
	sizes := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	for i := range files {
		sub := fmt.Sprintf("%s/usr/lib/d%d", dir, i/64)
		if i%64 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return 0, err
			}
		}
		// Half have 2 KiB or less; the mean is 8 KiB.
		size := 1 << (8 + sizes.IntN(8))
		if err := os.WriteFile(fmt.Sprintf("%s/f%d", sub, i), data[:size], 0o644); err != nil {
			return 0, err
		}
	}
	err := syncfs(dir)
	return float64(files) / time.Since(began).Seconds(), err
}

func syncfs(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	layerCount = 12
	fileSizes  = 512 << 10 // the largest file of a layer; the mean is half of that
)

// fill writes a tree as an image pull leaves it: layers/0…11 with files of
// different sizes in nested directories, and an empty overlay. The contents do
// not compress and are the same each time. After each layer it calls done with
// the layer's number, from 1 on, and the bytes of all layers so far.
func fill(dir string, total int64, done func(layer int, written int64)) error {
	if err := os.MkdirAll(filepath.Join(dir, "overlay"), 0o755); err != nil {
		return err
	}
	source := rand.NewChaCha8([32]byte{1})
	sizes := rand.New(source)
	written := int64(0)
	for layer := range layerCount {
		root := filepath.Join(dir, "layers", fmt.Sprint(layer))
		end := total * int64(layer+1) / layerCount
		for i := 0; written < end; i++ {
			size := min(end-written, 1+sizes.Int64N(fileSizes))
			name := filepath.Join(root, fmt.Sprintf("usr/lib/d%d/f%d", i%64, i))
			if err := writeFile(name, source, size); err != nil {
				return err
			}
			written += size
		}
		done(layer+1, written)
	}
	return syncAll(dir)
}

func writeFile(name string, source io.Reader, size int64) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 256<<10)
	if _, err := io.CopyN(w, source, size); err != nil {
		return err
	}
	return w.Flush()
}

// syncAll brings the whole filesystem to the device, so that the time measured is
// the device's.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

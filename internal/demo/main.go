// Command demo shows the main job on real input: a raw block device becomes a
// mounted trusted store, 2.15 GB of container layers go in, everything is looked
// at with the tools that people know, compared with what the how-to of Kata
// Containers shows, and taken away again. `make demo` runs it in a guest with a
// kernel of its own; with root and device-mapper it also runs as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

func main() {
	dir := flag.String("dir", "/run/host", "where the 2500 MiB sparse file is made")
	disk := flag.String("disk", os.Getenv("TRUSTED_STORE_DISKS"), "device to format and mount there first, as the host's own disk")
	layers := flag.String("layers", "2.15GB", "`size` of the layers to write")
	flag.Parse()
	if err := demonstrate(*dir, *disk, *layers); err != nil {
		fmt.Fprintln(os.Stderr, "demo: not all went well:", err)
		os.Exit(1)
	}
}

func demonstrate(dir, disk, layers string) error {
	size, err := layersSize(layers)
	if err != nil {
		return err
	}
	if err := lookForTools(); err != nil {
		return err
	}
	d := &demo{file: filepath.Join(dir, "trusted-image-storage"), layers: size}
	if disk != "" {
		if err := mountHostDisk(disk, dir); err != nil {
			return err
		}
	}
	err = errors.Join(d.run(), os.Remove(d.file))
	if disk != "" {
		err = errors.Join(err, unix.Unmount(dir, 0))
	}
	if err == nil {
		say(fmt.Sprintf("All went well: %s of layers were in a store, %d facts are as they should be, and nothing is left behind.", gigabytes(size), d.seen.compared))
	}
	return err
}

// smallestLayers is less than any image has, and enough for a file in each layer.
const smallestLayers = 10e6

func layersSize(text string) (int64, error) {
	size, err := humanize.ParseBytes(text)
	if err != nil || size < smallestLayers || size > howToLayers {
		return 0, fmt.Errorf("-layers %q: want a size from %s to %s, such as 300MB", text, humanize.Bytes(smallestLayers), gigabytes(howToLayers))
	}
	return int64(size), nil
}

// mountHostDisk plays the host's own disk, on which the file of the volume lies.
func mountHostDisk(disk, dir string) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = mkfs.Format(context.Background(), f, uint64(size), mkfs.Options{})
	}
	if err := errors.Join(err, f.Close(), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	return unix.Mount(disk, dir, "ext4", 0, "")
}

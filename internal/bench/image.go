package main

import (
	"bytes"
	"context"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

// image is a ready-made filesystem: what mkfs.Format wrote, to be written again.
type image struct {
	writes []write
	zeros  []byte // behind every write of zeros
	mu     sync.Mutex
}

type write struct {
	offset int64
	data   []byte // aligned
	own    bool   // not zeros
}

const longestWrite = 4 << 20

// record makes the image of the filesystem that Create begins with on a mapping
// of that size, and of what it writes to let it grow.
func record(seed, size uint64) (*image, error) {
	ctx := context.Background()
	i := &image{zeros: aligned(longestWrite)}
	l, err := mkfs.Format(ctx, i, size, seedOptions(seed, size))
	if err != nil {
		return nil, err
	}
	return i, l.PrepareGrowth(ctx, i, l.Geometry().Growth(size))
}

// WriteAt records one write.
func (i *image) WriteAt(p []byte, offset int64) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(p) <= len(i.zeros) && bytes.Equal(p, i.zeros[:len(p)]) {
		i.writes = append(i.writes, write{offset: offset, data: i.zeros[:len(p)]})
		return len(p), nil
	}
	w := write{offset, aligned(len(p)), true}
	copy(w.data, p)
	i.writes = append(i.writes, w)
	return len(p), nil
}

func (i *image) free() error {
	for _, w := range i.writes {
		if w.own {
			if err := unix.Munmap(w.data); err != nil {
				return err
			}
		}
	}
	i.writes = nil
	return unix.Munmap(i.zeros)
}

// put writes the image past the page cache and syncs once.
func (i *image) put(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, w := range i.writes {
		if _, err := f.WriteAt(w.data, w.offset); err != nil {
			return err
		}
	}
	return f.Sync()
}

// mountFlags and mountData are those of a store.
const (
	mountFlags = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOATIME
	mountData  = "noinit_itable,errors=remount-ro"
)

// putAndMount is what all sides with a ready-made filesystem end with.
func (i *image) putAndMount(path, dir string) error {
	if dir == "" {
		return nil
	}
	if err := i.put(path); err != nil {
		return err
	}
	return unix.Mount(path, dir, "ext4", mountFlags, mountData)
}

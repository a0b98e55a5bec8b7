package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// side is one way to make a mounted filesystem of a raw disk.
type side interface {
	name() string
	// prepare does what is not measured; the disk is blank.
	prepare(d disk) error
	// make returns when files can be written below dir; with dir empty, when
	// the layers below a filesystem can be written.
	make(ctx context.Context, d disk, dir string) error
	// device is what the filesystem lies on.
	device(d disk) string
	// remove takes everything away that make made.
	remove(ctx context.Context, dir string) error
}

// Names of sides in the results.
const (
	oursSide         = "trusted-store"
	keyedSide        = "keyed"
	taggedSide       = "tags-memory"
	aegisSide        = "aegis128"
	librarySide      = "library"
	floorSide        = "floor"
	floorProcessSide = "floor-process"
	cheapSide        = "pbkdf2"
	costlySide       = "argon2id"
	wipeSide         = "wipe"
	plainSide        = "plain"
	rawSide          = "raw"
	layersSide       = "layers" // ours without a filesystem
)

// mapping is the name of whatever is being measured; there is one at a time.
const mapping = "bench_store"

// mountPoint is where sides mount.
func (in *inside) mountPoint() string { return in.dir + "/mnt" }

// timed makes a side and returns how long that took, in seconds.
func (in *inside) timed(ctx context.Context, s side, d disk, dir string) (float64, error) {
	if err := errors.Join(d.blank(), s.prepare(d)); err != nil {
		return 0, fmt.Errorf("prepare %s: %w", s.name(), err)
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, err
		}
	}
	unix.Sync()
	began := time.Now()
	err := s.make(ctx, d, dir)
	if err != nil {
		err = fmt.Errorf("make %s on %s: %w", s.name(), bytesText(d.bytes), err)
	}
	return time.Since(began).Seconds(), err
}

// with makes a side, runs use and takes the side away; the last takes the time
// that is returned.
func (in *inside) with(ctx context.Context, s side, d disk, dir string, use func() error) (closed float64, err error) {
	if _, err := in.timed(ctx, s, d, dir); err != nil {
		return 0, err
	}
	err = use()
	unix.Sync()
	began := time.Now()
	err = errors.Join(err, s.remove(ctx, dir))
	return time.Since(began).Seconds(), err
}

// unmount unmounts dir, if there is one, and waits for what is still busy.
func unmount(dir string) error {
	if dir == "" {
		return nil
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(dir, 0)
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

package storage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// GrowMode says who grows the filesystem of a store to the whole of its device.
// Create writes a small one first, however large the device is.
type GrowMode uint8

const (
	// GrowInBackground: a goroutine of the [Store], which Close stops and
	// waits for. With tags in memory it grows the filesystem as that fills. It
	// is the zero value.
	GrowInBackground GrowMode = iota
	// GrowLater: nobody yet. Call [Grow] when it is time, also from another
	// process.
	GrowLater
	// GrowAsUsed: as GrowInBackground, but the filesystem is grown only as it
	// fills, with some room ahead, until Close. What an empty store takes of its
	// device is then a few MB, however large that is: for sparse ones. Until the
	// filesystem has filled, statfs shows a smaller one, and no file can be
	// allocated that is larger: see [GrowOptions].AsUsed.
	GrowAsUsed
)

// GrowOptions are the options of [Grow]. The zero value grows to the full size.
type GrowOptions struct {
	// Size in bytes at which Grow may return: the filesystem then has that
	// many or more. 0: its full size.
	Size uint64
	// Follow makes Grow wait while another process grows the store, and go on
	// where that one stops. Without it Grow fails with [ErrBusy]. One that only
	// waits for the filesystem to fill stands back, and goes on afterwards.
	Follow bool
	// AsUsed is for who grows in the background: the filesystem is then kept no
	// larger than what is used and some room ahead, until it is closed or has
	// Size. With tags in memory, which take memory for all of the filesystem, that
	// room is what may be written before the kernel holds a program back, 512 MiB
	// at the least. With tags on the device it is no more than that, and as much as
	// is used, 256 MiB at the least, or what takes 2.5 MiB of metadata.
	AsUsed bool
	// Logger is as in [CreateOptions].
	Logger *slog.Logger
	// Progress is told the size of the filesystem after each step. Nil: nobody.
	Progress func(Progress)
}

// Grow grows the mounted filesystem of a live store to the whole of its device,
// in steps, while it is in use. nameOrDir is as for [Close].
//
// It goes on wherever growing stopped, and returns at once when there is nothing
// left to do. When ctx ends it returns after the step under way, which takes
// about as long as writing 32 MiB, on devices larger than 64 GiB 160 MiB. It can be
// killed at any moment. One process at a time grows a store.
//
// It writes nothing itself: it asks the kernel for sizes that follow from the
// size of the device, and what the kernel reads on the way Create, Open or Resize
// wrote before. So even a filesystem that somebody else resizes at the same time
// loses nothing. Where these blocks cannot be read, growing ends with an error.
//
// With Follow it is also how to wait for a store that grows in the background: until
// the filesystem has Size, or all of the device.
//
// It needs root.
func Grow(ctx context.Context, nameOrDir string, opts GrowOptions) error {
	return failure("grow", nameOrDir, "", growStore(ctx, nameOrDir, opts))
}

func growStore(ctx context.Context, nameOrDir string, opts GrowOptions) error {
	live, err := findLive(nameOrDir)
	if err != nil {
		return err
	}
	return grow(ctx, live.crypt.info, opts)
}

// grow grows the filesystem on a mapping. One that stood back begins anew: the device
// may be larger by then.
func grow(ctx context.Context, mapping dm.Info, opts GrowOptions) error {
	err := growOnce(ctx, mapping, opts)
	for opts.Follow = true; errors.Is(err, errStoodBack); {
		err = growOnce(ctx, mapping, opts)
	}
	return err
}

func growOnce(ctx context.Context, mapping dm.Info, opts GrowOptions) error {
	g, err := newGrower(mapping)
	if err != nil {
		return err
	}
	g.log = discardUnlessSet(opts.Logger)
	if g.progress = opts.Progress; g.progress == nil {
		g.progress = func(Progress) {}
	}
	if g.tags, err = openTagReserve(mapping.Name); err != nil {
		return errors.Join(err, g.node.Close())
	}
	g.asUsed = opts.AsUsed
	g.goal = g.growth.Target
	if opts.Size > 0 {
		g.goal = min(opts.Size, g.goal)
	}
	err = g.grow(ctx, opts.Follow)
	if size, sizeErr := g.size(); err == nil && sizeErr == nil && size >= g.growth.Target {
		err = useWriteQueue(mapping, g.log)
	}
	return errors.Join(err, g.tags.close(), g.node.Close())
}

const (
	// stepPause is the time between two steps in which the grower holds nothing
	// of the filesystem, so that an unmount, tried more often, succeeds.
	stepPause = 20 * time.Millisecond
	// lockGrace is how long a grower tries to get the lock: Status and udev may
	// look at the node for a moment, and who only waits for the filesystem to fill
	// stands back.
	lockGrace = time.Second
	// turnPause is how often one that waits for its turn looks.
	turnPause = 100 * time.Millisecond
)

func (g *grower) grow(ctx context.Context, follow bool) error {
	began := time.Now()
	for {
		if done, err := g.reached(); done || err != nil {
			return err
		}
		locked, err := g.turn()
		switch {
		case err != nil:
			return err
		case locked:
			return g.run(ctx)
		case !follow && time.Since(began) > lockGrace:
			return refuse(ErrBusy, "", "another process grows it")
		}
		if err := pause(ctx, turnPause); err != nil {
			return err
		}
	}
}

// run takes steps until the goal is reached.
func (g *grower) run(ctx context.Context) error {
	for {
		if done, err := g.reached(); done || err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		wait, err := g.stepOrWait()
		if err != nil || wait == 0 {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

const (
	// usePause is how often a grower that follows the use of a filesystem looks, and
	// closePause the same where there is little room ahead.
	usePause   = 50 * time.Millisecond
	closePause = 20 * time.Millisecond
	// memoryPause is the same when there is no memory for more.
	memoryPause = time.Second
)

// stepOrWait takes a step, unless it is to wait for the filesystem to fill, and
// returns how long to pause; 0: the store is closed, and that was waited for.
func (g *grower) stepOrWait() (time.Duration, error) {
	if !g.asUsed {
		return stepPause, g.step()
	}
	if g.asked() {
		return 0, errStoodBack
	}
	roomy, err := g.roomy()
	switch {
	case roomy && g.tags == nil && g.cheap < leastLead:
		return closePause, nil
	case roomy:
		return usePause, nil
	}
	if err == nil {
		err = g.step()
	}
	switch {
	case errors.Is(err, errNotMounted):
		return 0, nil
	case errors.Is(err, errTagMemory):
		if !g.short {
			g.log.Warn("the store does not grow for now", "err", err)
		}
		g.short = true
		return memoryPause, nil
	case err == nil:
		g.short = false
	}
	return stepPause, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

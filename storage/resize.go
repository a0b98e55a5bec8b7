package storage

import (
	"context"
	"errors"
	"log/slog"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// ResizeOptions are the options of [Resize]. The zero value takes the whole device
// and grows the filesystem to it.
type ResizeOptions struct {
	// Grow is [GrowLater] for a caller that calls [Grow] itself. Otherwise Resize
	// returns when the filesystem has its full size.
	Grow GrowMode
	// MaxArgon2Memory, Logger and Progress are as in [OpenOptions].
	MaxArgon2Memory uint64
	Logger          *slog.Logger
	Progress        func(Progress)

	failAfter func(step string) error
}

// Resize lets a live, mounted store take the space that its device was given since it
// was opened, while it is in use: the integrity layer, the encryption, and then the
// filesystem, as [Grow] does. nameOrDir is as for [Close]. key is one of the volume's:
// the kernel must be given the volume key once more. It is read, not kept.
//
// [Open] does the same for a store that is not live. Resize does nothing when the
// device is not larger. While another process grows the store it waits, until ctx
// ends; one that only waits for the filesystem to fill stands back. It can be cut off at any moment: the next Resize, or the next Open, goes on.
// No block is read that nobody has written. A device that shrank is refused with
// [ErrUnsuitable], and the store stays as it is.
//
// An ephemeral store has no key that one could give, so it keeps its size; and one
// that cryptsetup opened is resized by closing it and calling Open.
//
// It needs root.
func Resize(ctx context.Context, nameOrDir string, key *Key, opts ResizeOptions) error {
	r := &resizing{
		operation: operation{op: "resize", device: nameOrDir, log: discardUnlessSet(opts.Logger),
			progress: opts.Progress, failAfter: opts.failAfter},
		opts: opts, secret: key,
	}
	if r.progress == nil {
		r.progress = func(Progress) {}
	}
	err := r.run(ctx, r.steps())
	r.end()
	if err != nil || opts.Grow == GrowLater {
		return err
	}
	return failure("resize", nameOrDir, "grow the filesystem", growStore(ctx, r.live.name,
		GrowOptions{Follow: true, Logger: opts.Logger, Progress: opts.Progress}))
}

// resizing is a Resize under way.
type resizing struct {
	operation
	opts   ResizeOptions
	secret *Key

	control *dm.Control
	live    *live
	grower  *grower // holds the lock of those who grow the store
	dev     *blockdev.Device
	key     *cryptsetup.VolumeKey
	plan    resizePlan
}

func (r *resizing) steps() []step {
	return []step{
		{"find the store", r.find},
		{"wait for who grows it", r.lock},
		{"check the store", r.checkLive},
		{"check device", r.checkDevice},
		{"unlock", r.unlock},
		{"resize the integrity layer", r.unlessDone(r.resizeIntegrity)},
		{"prepare growth", r.unlessDone(r.prepare)},
		{"note the device's size", r.unlessDone(r.noteSize)},
		{"resize the encryption", r.unlessDone(r.resizeCrypt)},
	}
}

// unlessDone leaves a step out where the store has the whole device already.
func (r *resizing) unlessDone(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if r.plan.done() {
			return nil
		}
		return do(ctx)
	}
}

// end gives back what is needed meanwhile, and wipes the key.
func (r *resizing) end() {
	r.key.Wipe()
	var errs []error
	if r.dev != nil {
		errs = append(errs, r.dev.Close())
	}
	if r.grower != nil {
		errs = append(errs, r.grower.node.Close())
	}
	if r.control != nil {
		errs = append(errs, r.control.Close())
	}
	if err := errors.Join(errs...); err != nil {
		r.log.Warn("close what was open to resize", "err", err)
	}
}

func (r *resizing) find(context.Context) (err error) {
	if r.secret == nil {
		return refuse(ErrInvalid, "", "a store is resized with its key, and none was given")
	}
	if r.live, err = findLive(r.device); err != nil {
		return err
	}
	if r.control, err = openControl(); err != nil {
		return err
	}
	r.grower, err = newGrower(r.live.crypt.info)
	return err
}

// lock keeps other resizers, and those who grow the filesystem and exchange tables,
// away until the end.
func (r *resizing) lock(ctx context.Context) error {
	for waits := false; ; waits = true {
		locked, err := r.grower.turn()
		if locked || err != nil {
			return err
		}
		if !waits {
			r.log.Info("waiting for the process that grows the store", "store", r.live.name)
		}
		if err := pause(ctx, turnPause); err != nil {
			return err
		}
	}
}

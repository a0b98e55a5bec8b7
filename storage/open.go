package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
)

// Open opens the existing volume on the device (a path or "MAJ:MIN") with its
// key, and mounts it. It never formats: a device without a header that is inside
// the profile is refused with [ErrHeaderRejected].
//
// A device that became larger is taken whole, and the filesystem grows to it. One that
// shrank is refused with [ErrUnsuitable], with the size that it needs and has.
//
// Header and integrity superblock are read once, and only those bytes are acted on:
// the kernel gets the superblock from memory. Nothing is written to the device
// before the key is proven right: after [ErrWrongKey], a rejected header or a busy
// device it is byte for byte as it was. After any failure nothing that was made is
// left.
//
// key is read, not kept; the caller wipes it. Open needs root, and of the kernel
// what [Create] needs.
func Open(ctx context.Context, device string, key *Key, opts OpenOptions) (*Store, error) {
	o := newOpening(device, key, opts)
	defer o.end()
	if err := o.run(ctx, o.steps()); err != nil {
		return nil, err
	}
	return o.store(opts.Grow), nil
}

// opening is an Open under way.
type opening struct {
	activation
	opts   OpenOptions
	secret *Key
	header *cryptsetup.Header
	grew   bool // the device is larger than its integrity superblock says
}

func newOpening(device string, key *Key, opts OpenOptions) *opening {
	o := &opening{opts: opts, secret: key}
	o.activation = activation{
		operation: operation{op: "open", device: device, log: discardUnlessSet(opts.Logger),
			progress: opts.Progress, failAfter: opts.failAfter},
		name: opts.Name, mountPoint: opts.MountPoint, mountFlags: opts.MountFlags, integrity: opts.Cipher.with(opts.Integrity),
	}
	o.setDefaults()
	return o
}

func (o *opening) steps() []step {
	steps := []step{
		{"check arguments", o.checkArguments},
		{"check device", o.checkDevice},
		{"read header", o.readHeader},
		{"check name and mount point", o.checkPlace},
		{"unlock", o.unlock},
	}
	if o.integrity != NoIntegrity {
		steps = append(steps,
			step{"check integrity superblock", o.readSuperblock},
			step{"mark as unfinished", o.markUnfinished},
			step{"activate integrity layer", o.reactivateIntegrity})
	} else {
		steps = append(steps, step{"mark as unfinished", o.markUnfinished})
	}
	steps = append(steps, step{"activate encryption", o.activateCrypt})
	if o.mountPoint != NoMount {
		steps = append(steps, step{"prepare growth", o.prepareGrowth})
	}
	if o.integrity != NoIntegrity {
		steps = append(steps, step{"note the device's size", o.noteSize})
	}
	steps = append(steps, step{"mark as whole", o.markWhole})
	if o.mountPoint != NoMount {
		steps = append(steps, step{"mount", o.mount})
	}
	return steps
}

func (o *opening) checkArguments(ctx context.Context) error {
	if o.secret == nil {
		return refuse(ErrInvalid, "", "a volume is opened with its key, and none was given")
	}
	if err := o.opts.Cipher.check(o.opts.Integrity); err != nil {
		return err
	}
	return o.activation.checkArguments(ctx)
}

func (o *opening) checkDevice(ctx context.Context) error {
	if err := o.claimDevice(ctx); err != nil {
		return err
	}
	o.sectors = o.dev.sectors() - dataSector // unless an integrity layer provides less
	return nil
}

func (o *opening) readHeader(ctx context.Context) error {
	device, profile := o.dev.File(), cryptsetup.Profile{
		Integrity:         cryptsetup.Require(o.integrity),
		ExpectUUID:        o.opts.ExpectUUID,
		ExpectFingerprint: o.opts.ExpectHeader,
		MaxArgon2Memory:   o.opts.MaxArgon2Memory,
	}
	var err error
	o.header, err = await(ctx, silentDevice, func() (*cryptsetup.Header, error) { return cryptsetup.Read(device, profile) }, keep)
	if err != nil {
		return explainHeader(err, o.opts.Cipher)
	}
	if len(o.header.Keyslots()) == 0 {
		return refuse(ErrWrongKey, "it was ephemeral: nobody can open it again", "the volume has no key slots")
	}
	o.id = o.header.UUID()
	return nil
}

// explainHeader says what opens a volume of cryptsetup's own defaults, or with
// another cipher than was asked for.
func explainHeader(err error, asked Cipher) error {
	var rejected *cryptsetup.RejectedError
	if !errors.As(err, &rejected) {
		return err
	}
	if rejected.Has(cryptsetup.RuleHeaderNone) {
		return refuse(ErrHeaderRejected, "open never makes a volume; storage.Create does", "%w", err)
	}
	if torn(rejected) {
		return refuse(ErrHeaderRejected, tornHint, "%w", err)
	}
	if rejected.Has(cryptsetup.RuleCipher) {
		other := AEGIS128
		if asked == AEGIS128 {
			other = AESXTS
		}
		return refuse(ErrHeaderRejected, fmt.Sprintf("if the volume is the one that is meant, open it with OpenOptions.Cipher %v", other), "%w", err)
	}
	onlyMemory := !slices.ContainsFunc(rejected.Violations, func(v cryptsetup.Violation) bool {
		return v.Rule != cryptsetup.RuleArgon2Memory
	})
	if onlyMemory {
		return refuse(ErrHeaderRejected, "if the volume is yours and the memory is there, raise OpenOptions.MaxArgon2Memory", "%w", err)
	}
	return err
}

// unlock proves the key, and with it that the header is the one that was authenticated.
func (o *opening) unlock(ctx context.Context) (err error) {
	o.key, _, err = unlockAuthentic(ctx, o.header, o.secret, cryptsetup.Authentication{
		Required: o.opts.RequireAuthenticated, MinEpoch: o.opts.ExpectEpoch, Fingerprint: o.opts.ExpectVolume,
	})
	if err == nil {
		o.noteHeader(o.header)
	}
	return err
}

// readSuperblock plans the layer for the size that the device has now.
func (o *opening) readSuperblock(ctx context.Context) error {
	type read struct {
		found  integrity.Superblock
		layout integrity.Layout
	}
	device := o.dev.File()
	r, err := await(ctx, silentDevice, func() (r read, err error) {
		r.found, r.layout, err = integrity.ReadSuperblock(device, dataSector)
		return r, err
	}, keep)
	o.layout, o.grew = r.layout, r.found.ProvidedSectors < r.layout.ProvidedSectors
	return explainShrunk(err)
}

// explainShrunk says what helps a device that is too small for what is on it.
func explainShrunk(err error) error {
	var shrunk *integrity.ShrunkError
	if !errors.As(err, &shrunk) {
		return err
	}
	needed, has := twoSizes(shrunk.Need, shrunk.Have)
	return because(fmt.Errorf("%w: %w", ErrHeaderRejected, err), ErrUnsuitable,
		"give it the size that it had: nothing was touched", "the device shrank: %s are needed, it has %s", needed, has)
}

// noteSize writes the superblock of the larger device where the next Open, and
// cryptsetup, look for it. Nobody uses anything of the new space before: a device that
// is cut off earlier is as it was.
func (o *opening) noteSize(context.Context) error {
	if !o.grew {
		return nil
	}
	o.log.Info("the device was enlarged", "device", o.device, "bytes", o.dev.Size())
	return integrity.WriteSuperblock(o.dev.File(), o.layout)
}

func (o *opening) reactivateIntegrity(ctx context.Context) error {
	o.sectors = o.layout.ProvidedSectors
	return o.activateIntegrity(ctx, integrity.Activate)
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const mountPoint = "/run/kata-containers/image"

// demo is one run.
type demo struct {
	file   string // of the volume
	device string // that it is attached as
	layers int64  // bytes
	seen   comparison
}

func (d *demo) run() error {
	say("On the host: a sparse file becomes a block device.")
	if err := show("trusted-store", "volume", "create", d.file, "--size", "2500MiB"); err != nil {
		return err
	}
	out, err := shown("trusted-store", "volume", "attach", d.file)
	if err != nil {
		return err
	}
	d.device = strings.TrimSpace(out)
	err = d.stores()
	return errors.Join(err, show("trusted-store", "volume", "detach", d.device), d.seen.err())
}

// stores makes and closes one store of each kind.
func (d *demo) stores() error {
	say("In the guest: the device becomes a mounted store. Its key is in this kernel's memory only.")
	if err := d.store(authenticated, d.fillAndLook); err != nil {
		return err
	}
	say("The same with the tags of its blocks in the guest's memory, where the host cannot put back old ones:")
	if err := d.store(fresh, nil, "--tags", "memory"); err != nil {
		return err
	}
	say("The same without integrity:")
	return d.store(encryptedOnly, nil, "--integrity", "none")
}

// store makes a store, looks at it, uses it, and closes it.
func (d *demo) store(want mapped, use func(name string) error, flags ...string) error {
	if err := show("trusted-store", append([]string{"create", d.device}, flags...)...); err != nil {
		return err
	}
	say("What other tools see of it:")
	name, err := d.look(want)
	if err == nil && use != nil {
		err = use(name)
	}
	say("Close takes everything away:")
	if err := errors.Join(err, show("trusted-store", "close", mountPoint)); err != nil {
		return err
	}
	return d.nothingLeft()
}

// fillAndLook is what the store is for.
func (d *demo) fillAndLook(name string) error {
	say(fmt.Sprintf("Container layers of %s go in:", gigabytes(d.layers)))
	before, err := freeMemory()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := fill(mountPoint, d.layers, progress(d.layers)); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Printf("written and synchronised in %.1f s, %.0f MB/s\n", took.Seconds(), float64(d.layers)/1e6/took.Seconds())
	err = errors.Join(d.lookAtFiles(), d.lookAtSpace(name), d.lookAtMemory(before))
	return errors.Join(err, show("trusted-store", "status", mountPoint))
}

// progress says after each layer how far it is.
func progress(total int64) func(layer int, written int64) {
	return func(layer int, written int64) {
		fmt.Printf("layer %2d of %d: %s of %s\n", layer, layerCount, gigabytes(written), gigabytes(total))
	}
}

func gigabytes(n int64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }

func say(text string) { fmt.Printf("\n# %s\n", text) }

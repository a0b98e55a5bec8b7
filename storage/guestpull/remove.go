package guestpull

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/trusted-store/trusted-store/storage"
)

// Stored is an image on the store.
type Stored struct {
	Digest  digest.Digest `json:"digest"` // of its manifest
	Names   []string      `json:"names"`
	Layers  []Layer       `json:"layers"` // their directories and sizes
	Bundles []string      `json:"bundles"`
	// Verified is what the policy of its last pull said.
	Verified []Verified `json:"verified,omitempty"`
}

// List returns the images on the store, sorted by digest.
func (im *Images) List(ctx context.Context) ([]Stored, error) {
	all := []Stored{}
	err := im.using(ctx, func() error {
		for d, image := range im.index.Images {
			s := Stored{Digest: d, Names: image.Names, Bundles: im.index.bundlesOf(d), Verified: image.Verified}
			for _, chain := range image.Chains {
				l := im.index.Layers[chain]
				s.Layers = append(s.Layers, Layer{Dir: l.Dir, Bytes: l.Bytes})
			}
			all = append(all, s)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Stored) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return all, failure("list", im.dir, "", err)
}

// Remove removes an image, given by name or manifest digest, with the layers
// that no other has. By one of several names it removes only that name. An image that is mounted in a bundle stays, with
// [storage.ErrBusy].
func (im *Images) Remove(ctx context.Context, name string) error {
	return failure("remove", name, "", im.using(ctx, func() error { return im.remove(name) }))
}

func (im *Images) remove(name string) error {
	if ref, err := parseName(name); err == nil {
		name = ref.String()
	}
	d, found := im.index.find(name)
	if !found {
		return refuse(ErrNoSuchImage, "list those that are there", "it is not on the store %s", im.dir)
	}
	if names := im.index.Images[d].Names; len(names) > 1 && slices.Contains(names, name) {
		return im.drops(func(x *index) {
			image := x.Images[d]
			image.Names = slices.DeleteFunc(slices.Clone(image.Names), func(n string) bool { return n == name })
			x.Images[d] = image
		})
	}
	if bundles := im.index.bundlesOf(d); len(bundles) > 0 {
		return refuse(storage.ErrBusy, "release the bundle first", "bundle %s uses it", bundles[0])
	}
	return im.drops(func(x *index) { delete(x.Images, d) })
}

// Prune removes what nothing uses: bundles that are not mounted any more in this
// mount namespace, images that no bundle uses, and layers that no image has.
func (im *Images) Prune(ctx context.Context) error {
	return failure("prune", im.dir, "", im.using(ctx, im.prune))
}

func (im *Images) prune() error {
	for id, b := range im.index.Bundles {
		mounted, err := isMounted(filepath.Join(b.Path, rootfsName))
		if err != nil {
			return err
		}
		if !mounted {
			if err := im.forget(id); err != nil {
				return err
			}
		}
	}
	return im.drops(func(x *index) {
		for d := range x.Images {
			if len(x.bundlesOf(d)) == 0 {
				delete(x.Images, d)
			}
		}
	})
}

// drops makes a change that leaves layers without an image, and removes those but
// for what a pull under way counts on. im.mu must be held.
func (im *Images) drops(edit func(*index)) error {
	var dirs []int
	err := im.change(func(x *index) {
		edit(x)
		dirs = x.dropUnreferenced()
	})
	if err != nil {
		return err
	}
	return im.removeLayers(dirs)
}

func (im *Images) removeLayers(dirs []int) error {
	var errs []error
	for chain, l := range im.layers {
		switch {
		case !slices.Contains(dirs, l.n):
		case l.users > 0:
			l.saved = false // the last pull that counts on it removes it, or makes it an image's
		default:
			delete(im.layers, chain)
			errs = append(errs, os.RemoveAll(im.layerDir(l.n)))
		}
	}
	return errors.Join(errs...)
}

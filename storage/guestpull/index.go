package guestpull

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/trusted-store/trusted-store/storage"
)

const (
	indexName    = "images.json"
	indexVersion = 1
)

// index is what images.json holds: all that is whole on the store. What lies
// beside it there is rubbish of a process that died.
type index struct {
	Version int                          `json:"version"`
	Next    int                          `json:"next_layer"`
	Layers  map[digest.Digest]indexLayer `json:"layers"` // by chain ID
	Images  map[digest.Digest]indexImage `json:"images"` // by the manifest's digest
	Bundles map[string]indexBundle       `json:"bundles"`
}

type indexLayer struct {
	Dir   int   `json:"dir"`
	Bytes int64 `json:"bytes"`
}

type indexImage struct {
	Names  []string        `json:"names"`
	Chains []digest.Digest `json:"chains"` // of its layers, the lowest first
	Config json.RawMessage `json:"config"`
	// Verified is what the policy of the last pull said.
	Verified []Verified `json:"verified,omitempty"`
}

type indexBundle struct {
	Path  string        `json:"path"`
	Image digest.Digest `json:"image"`
}

func newIndex() *index {
	return &index{Version: indexVersion, Layers: map[digest.Digest]indexLayer{},
		Images: map[digest.Digest]indexImage{}, Bundles: map[string]indexBundle{}}
}

func loadIndex(dir string) (*index, error) {
	path := filepath.Join(dir, indexName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil
	}
	if err != nil {
		return nil, err
	}
	x := newIndex()
	if err := json.Unmarshal(text, x); err != nil || x.Version != indexVersion {
		return nil, refuse(storage.ErrInvalid, "empty the store, its images can be pulled again",
			"%s is not an index of version %d", path, indexVersion)
	}
	return x, nil
}

// save replaces the index in one step: after a crash there is the old one or
// the new one.
func (x *index) save(dir string) (err error) {
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, indexName+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, indexName))
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// clone lets a change be saved before it is made.
func (x *index) clone() *index {
	c := *x
	c.Layers, c.Images, c.Bundles = maps.Clone(x.Layers), maps.Clone(x.Images), maps.Clone(x.Bundles)
	return &c
}

// dropUnreferenced takes layers out that no image has, and returns their
// directories.
func (x *index) dropUnreferenced() []int {
	used := map[digest.Digest]bool{}
	for _, image := range x.Images {
		for _, chain := range image.Chains {
			used[chain] = true
		}
	}
	var dirs []int
	for chain, l := range x.Layers {
		if !used[chain] {
			dirs = append(dirs, l.Dir)
			delete(x.Layers, chain)
		}
	}
	return dirs
}

// bundlesOf are the bundles in which an image is mounted.
func (x *index) bundlesOf(image digest.Digest) []string {
	var paths []string
	for _, b := range x.Bundles {
		if b.Image == image {
			paths = append(paths, b.Path)
		}
	}
	return paths
}

// find returns the image of that name or digest.
func (x *index) find(name string) (digest.Digest, bool) {
	if _, ok := x.Images[digest.Digest(name)]; ok {
		return digest.Digest(name), true
	}
	for d, image := range x.Images {
		for _, n := range image.Names {
			if n == name {
				return d, true
			}
		}
	}
	return "", false
}

// named gives an image the name, which another may have had.
func (x *index) named(d digest.Digest, image indexImage, name string) {
	for other, old := range x.Images {
		names := make([]string, 0, len(old.Names))
		for _, n := range old.Names {
			if n != name {
				names = append(names, n)
			}
		}
		old.Names = names
		x.Images[other] = old
	}
	image.Names = append(x.Images[d].Names, name)
	x.Images[d] = image
}

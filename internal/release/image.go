package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// root is what the image holds for one CPU.
type root struct{ arch, dir string }

// writeImage writes an image for several CPUs as a tar of an OCI layout, which
// container tools load. It has one layer, and its bytes depend on the arguments and
// the contents alone.
func writeImage(file, version string, date time.Time, roots []root) error {
	var images v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, r := range roots {
		image, err := r.image(version, date)
		if err != nil {
			return err
		}
		platform := &v1.Platform{OS: "linux", Architecture: r.arch}
		images = mutate.AppendManifests(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := map[string]string{"org.opencontainers.image.ref.name": version}
	if err := out.AppendIndex(images, layout.WithAnnotations(name)); err != nil {
		return err
	}
	text, err := archive(dir, date)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

func (r root) image(version string, date time.Time) (v1.Image, error) {
	files, err := archive(r.dir, date)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := v1.History{Created: v1.Time{Time: date}, CreatedBy: "make release"}
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: history})
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, r.config(image, version, date))
}

func (r root) config(image v1.Image, version string, date time.Time) *v1.ConfigFile {
	c, err := image.ConfigFile()
	if err != nil {
		panic(err) // it was made above
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created = "linux", r.arch, v1.Time{Time: date}
	c.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/trusted-store"},
		Env:        []string{"PATH=/usr/bin"},
		Labels:     map[string]string{"org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0"},
	}
	return c
}

// archive is a tar of a directory, in order of names, owned by root, with one date.
func archive(dir string, date time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		h, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		executable := info.IsDir() || info.Mode()&0o100 != 0
		*h = tar.Header{Typeflag: h.Typeflag, Name: name, Size: h.Size, Mode: 0o644, ModTime: date, Format: tar.FormatUSTAR}
		if executable {
			h.Mode = 0o755
		}
		if info.IsDir() {
			h.Name += "/"
		}
		return addFile(w, h, path)
	})
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

func addFile(w *tar.Writer, h *tar.Header, path string) error {
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

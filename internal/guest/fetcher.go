package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// fetcher holds what one run of setup has learned.
type fetcher struct {
	cache   string
	tmp     string // lists of packages, removed at the end
	w       io.Writer
	mirrors []string
	suites  map[string]*suite
}

func newFetcher(cache string, w io.Writer) (*fetcher, error) {
	// apt as root reads the lists as a user of its own.
	tmp, err := os.MkdirTemp("", "trusted-store-debian-*")
	if err != nil {
		return nil, err
	}
	return &fetcher{cache: cache, tmp: tmp, w: w, suites: map[string]*suite{}}, os.Chmod(tmp, 0o755)
}

// suite returns the suite with its list of packages, which is fetched once.
func (f *fetcher) suite(ctx context.Context, name, arch string) (*suite, error) {
	if s, ok := f.suites[name+"/"+arch]; ok {
		return s, nil
	}
	if f.mirrors == nil {
		var err error
		if f.mirrors, err = mirrors(ctx); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(f.w, "guest: reading Debian's list of packages in %s (%s)\n", name, arch)
	s, err := openSuite(ctx, f.tmp, f.mirrors, name, arch)
	if err == nil {
		f.suites[name+"/"+arch] = s
	}
	return s, err
}

func (f *fetcher) fetch(u *unpacked) error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchLimit)
	defer cancel()
	var suites []*suite
	for _, name := range u.suites {
		s, err := f.suite(ctx, name, u.arch)
		if err != nil {
			return err
		}
		suites = append(suites, s)
	}
	bundles, err := u.bundles(ctx, suites)
	if err != nil {
		return err
	}
	if len(bundles) == 0 {
		return fmt.Errorf("no such packages in %s", strings.Join(u.suites, ", "))
	}
	var failed error
	for _, b := range bundles {
		err := f.make(ctx, u, b)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// make unpacks a bundle to a directory that appears only when it is complete.
func (f *fetcher) make(ctx context.Context, u *unpacked, b bundle) error {
	dir := unpackedDir(f.cache, u.name)
	root, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	var list strings.Builder
	for _, versions := range b {
		o, err := f.unpack(ctx, versions, root)
		if err != nil {
			return err
		}
		fmt.Fprintln(&list, o)
	}
	if err := u.finish(root); err != nil {
		return err
	}
	// Documents and translations.
	if err := os.RemoveAll(filepath.Join(root, "usr/share")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, packageList), []byte(list.String()), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(root, dir)
}

// unpack takes the newest version that the mirror has: a list of packages can be
// older or newer than the packages.
func (f *fetcher) unpack(ctx context.Context, versions []offer, root string) (offer, error) {
	var failed error
	for _, o := range versions {
		fmt.Fprintf(f.w, "guest: downloading %s (%s)\n", o, o.from.arch)
		err := o.unpack(ctx, f.tmp, root)
		if err == nil {
			return o, nil
		}
		failed = errors.Join(failed, err)
	}
	return offer{}, failed
}

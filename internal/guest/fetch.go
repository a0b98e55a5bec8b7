package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fetchLimit bounds the download of a kernel, up to 100 MB with lists of packages.
const fetchLimit = 10 * time.Minute

// unpacked is something made of Debian's packages in the cache.
type unpacked struct {
	name   string   // of its directory
	arch   string   // as Debian names it
	suites []string // that have its packages
	// bundles are the ways to make it, the best one first.
	bundles func(ctx context.Context, suites []*suite) ([]bundle, error)
	// finish completes the directory root, which will be moved, and fails when
	// something is missing in it.
	finish func(root string) error
}

// bundle is a set of packages, each with its versions, the newest one first.
type bundle [][]offer

// unpackedDir is where the packages of that name lie, unpacked.
func unpackedDir(cache, name string) string { return filepath.Join(cache, "debian", name) }

// packageList is the file that names the packages of a directory and is written
// last.
const packageList = "packages"

// complete tells whether it is in the cache.
func (u *unpacked) complete(cache string) bool {
	_, err := os.Stat(filepath.Join(unpackedDir(cache, u.name), packageList))
	return err == nil
}

// fetch puts into the cache what is missing. Another process that does the same is
// waited for. What cannot be had is an error.
func fetch(cache string, want []*unpacked, w io.Writer) error {
	if err := os.MkdirAll(unpackedDir(cache, ""), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "debian.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	want = slices.DeleteFunc(slices.Clone(want), func(u *unpacked) bool { return u.complete(cache) })
	if len(want) == 0 {
		return nil
	}
	f, err := newFetcher(cache, w)
	if err != nil {
		return err
	}
	defer os.RemoveAll(f.tmp)
	var failed error
	for _, u := range want {
		if err := f.fetch(u); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s cannot be had: %w", u.name, err))
		}
	}
	return failed
}

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

// mergedUsr makes the links that packages of today rely on, such as /lib.
func mergedUsr(root string) error {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		err := os.Symlink("usr/"+name, filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

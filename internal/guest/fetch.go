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
	if err := lockAlone(lock, w); err != nil {
		return err
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

// lockAlone waits for another setup with the same cache, and says so.
func lockAlone(lock *os.File, w io.Writer) error {
	err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		fmt.Fprintln(w, "guest: waiting for another setup")
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return nil
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

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// diskLimit is the number of raw disks that either bed can name.
const diskLimit = 8

// openDisks opens or makes the disks' files. A new one has no name any more
// when it is returned: it vanishes with the last process that holds it, however
// that ends.
func openDisks(dir string, disks []disk) ([]*os.File, error) {
	if len(disks) > diskLimit {
		return nil, fmt.Errorf("%d disks asked for, at most %d can be attached", len(disks), diskLimit)
	}
	var files []*os.File
	for _, d := range disks {
		f, err := openDisk(dir, d)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func openDisk(dir string, d disk) (*os.File, error) {
	if d.path != "" {
		return os.OpenFile(d.path, os.O_RDWR, 0)
	}
	f, err := unnamedFile(dir)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(d.size)); err != nil {
		f.Close()
		if errors.Is(err, syscall.EFBIG) {
			err = fmt.Errorf("the filesystem of %s has no files as large as %d bytes: choose another place with -cache: %w", dir, uint64(d.size), err)
		}
		return nil, err
	}
	return f, nil
}

// unnamedFile makes a file in dir and removes its name.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "guest-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// inherited is the path by which the kernel process opens the n-th of the files
// that it inherits.
func inherited(n int) string { return filepath.Join("/proc/self/fd", fmt.Sprint(3+n)) }

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// A guest of another architecture than the host's cannot run the host's programs:
// it has Debian's, and an init that is built for it.

// foreignPackages are what tests compare with and a person misses.
var foreignPackages = []string{"busybox-static", "cryptsetup-bin", "dmsetup", "e2fsprogs"}

// toolsName is the name in the cache of an architecture's programs.
func toolsName(arch string) string { return "tools-" + arch }

// foreignToolPackages describes how setup makes them.
func foreignToolPackages(arch string) *unpacked {
	return &unpacked{
		name: toolsName(arch), arch: arch, suites: []string{"trixie", "sid"},
		bundles: func(ctx context.Context, suites []*suite) ([]bundle, error) {
			b, err := bundleOf(ctx, suites, foreignPackages...)
			return []bundle{b}, err
		},
		finish: func(root string) error {
			if err := mergedUsr(root); err != nil {
				return err
			}
			_, err := os.Stat(filepath.Join(root, "usr/bin/busybox"))
			return err
		},
	}
}

// foreignTools is the directory of the guest's programs; empty when they are the
// host's.
func (q *qemu) foreignTools() (string, error) {
	if q.arch == hostArch {
		return "", nil
	}
	dir := unpackedDir(q.cache, toolsName(q.arch))
	_, err := os.Stat(filepath.Join(dir, packageList))
	return dir, err
}

// toolsTree collects the programs that every guest of the architecture has.
func (q *qemu) toolsTree() (*tree, error) {
	dir, err := q.foreignTools()
	if err != nil {
		return nil, err
	}
	if dir != "" {
		return foreignTree(dir)
	}
	t, err := hostTree()
	if err != nil {
		return nil, err
	}
	if tools, ok := newToolsDir(q.cache); ok {
		err = t.addAll(filepath.Dir(tools), skipCopy)
	}
	return t, err
}

// foreignTree shows the files below dir at the guest's root.
func foreignTree(dir string) (*tree, error) {
	t := newTree()
	for _, d := range []string{"/root", "/tmp", "/var"} {
		t.entries[d] = entry{mode: fs.ModeDir | 0o755}
	}
	if err := t.showBelow(dir); err != nil {
		return nil, err
	}
	for _, f := range []string{"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"} {
		if err := t.add(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	return t, t.linkBusybox("/usr/bin/busybox", busybox)
}

// showBelow records the host's files below dir, as if that were the root.
func (t *tree) showBelow(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return t.show(path, path[len(dir):], info)
	})
}

// show records the host's file source at another path.
func (t *tree) show(source, path string, info fs.FileInfo) error {
	e := entry{mode: info.Mode()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(source)
		if err != nil {
			return err
		}
		e.target = target
	case info.Mode().IsRegular():
		e.source, e.size, e.stamp = source, info.Size(), info.ModTime().UnixNano()
	case !info.IsDir():
		return nil
	}
	t.entries[path] = e
	return nil
}

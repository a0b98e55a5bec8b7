package main

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tree is a set of files to show in a guest that cannot see the host's. Every
// file keeps the path that it has on the host.
type tree struct {
	entries  map[string]entry // by clean path
	programs map[string]bool  // those whose libraries are in the tree
	libs     []string         // where the dynamic linker looks
	arch     string           // of the command's guest
}

// entry is a directory, a link, a file of the host, or a file of its own text.
type entry struct {
	mode   fs.FileMode
	target string // of a link
	source string // host path of a file's contents
	text   []byte // contents of a file without source
	size   int64
	stamp  int64 // modification time, for fingerprint
}

func newTree() *tree {
	return &tree{entries: map[string]entry{}, programs: map[string]bool{}, libs: libraryDirs("/etc/ld.so.conf.d")}
}

// libraryDirs lists where shared libraries are: the linker's defaults and what
// the distribution configured.
func libraryDirs(conf string) []string {
	dirs := []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"}
	files, err := filepath.Glob(filepath.Join(conf, "*.conf"))
	if err != nil {
		return dirs
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for l := range strings.FieldsSeq(string(text)) {
			if filepath.IsAbs(l) {
				dirs = append(dirs, l)
			}
		}
	}
	return dirs
}

// add takes the file, link or empty directory at path with everything that is
// needed to reach it: the directories above and the targets of links.
func (t *tree) add(path string) error {
	path = filepath.Clean(path)
	if _, ok := t.entries[path]; ok || path == "/" {
		return nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := t.add(filepath.Dir(path)); err != nil {
		return err
	}
	if dir != filepath.Dir(path) {
		return t.add(filepath.Join(dir, filepath.Base(path)))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return t.take(path, info)
}

// take records one file whose directory is in the tree.
func (t *tree) take(path string, info fs.FileInfo) error {
	e := entry{mode: info.Mode()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		e.target = target
		t.entries[path] = e
		return t.add(absolute(filepath.Dir(path), target))
	case info.Mode().IsRegular():
		e.source, e.size, e.stamp = path, info.Size(), info.ModTime().UnixNano()
	case !info.IsDir():
		return fmt.Errorf("%s is neither a file nor a directory nor a link", path)
	}
	t.entries[path] = e
	return nil
}

// addProgram adds an executable with its interpreter and shared libraries, or,
// for a script, with the program that it names.
func (t *tree) addProgram(path string) error {
	if err := t.add(path); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil || t.programs[real] {
		return err
	}
	t.programs[real] = true
	f, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) || errors.Is(err, io.EOF) {
		return t.addInterpreter(path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		if err := t.add(strings.TrimRight(string(name), "\x00")); err != nil {
			return err
		}
	}
	return t.addLibraries(f, path)
}

// addInterpreter adds the program of a script's first line.
func (t *tree) addInterpreter(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(strings.TrimPrefix(first, "#!"))
	if !strings.HasPrefix(first, "#!") || len(words) == 0 {
		return nil
	}
	return t.addProgram(words[0])
}

// addLibraries adds what f needs, and what that needs.
func (t *tree) addLibraries(f *elf.File, path string) error {
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", path, err)
	}
	own, err := runPaths(f, path)
	if err != nil {
		return err
	}
	for _, name := range needed {
		lib, err := findLibrary(name, slices.Concat(own, t.libs))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := t.addProgram(lib); err != nil {
			return err
		}
	}
	return nil
}

// runPaths are the directories that the file itself names for its libraries.
func runPaths(f *elf.File, path string) ([]string, error) {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			return nil, fmt.Errorf("libraries of %s: %w", path, err)
		}
		for _, v := range values {
			v = strings.ReplaceAll(v, "$ORIGIN", filepath.Dir(path))
			dirs = append(dirs, filepath.SplitList(v)...)
		}
	}
	return dirs, nil
}

func findLibrary(name string, dirs []string) (string, error) {
	for _, d := range dirs {
		p := filepath.Join(d, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("shared library %s is in none of %s", name, strings.Join(dirs, " "))
}

// addAll adds a directory with everything below it that is not skipped.
func (t *tree) addAll(dir string, skip func(path string, info fs.FileInfo) bool) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		usable := info.IsDir() || info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0
		if skip(path, info) || !usable {
			if info.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if err := t.add(path); err != nil && info.Mode()&fs.ModeSymlink == 0 {
			return err
		}
		return nil
	})
}

// addText adds a file that is not on the host.
func (t *tree) addText(path string, perm fs.FileMode, text []byte) {
	for d := filepath.Dir(path); d != "/"; d = filepath.Dir(d) {
		if _, ok := t.entries[d]; !ok {
			t.entries[d] = entry{mode: fs.ModeDir | 0o755}
		}
	}
	t.entries[path] = entry{mode: perm, text: text, size: int64(len(text))}
}

// without drops what another tree has already.
func (t *tree) without(base *tree) {
	for path, e := range t.entries {
		if _, ok := base.entries[path]; ok && !e.mode.IsDir() {
			delete(t.entries, path)
		}
	}
}

// paths are the entries in an order in which directories come first.
func (t *tree) paths() []string {
	paths := make([]string, 0, len(t.entries))
	for p := range t.entries {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// fingerprint changes when the tree or a file in it does.
func (t *tree) fingerprint() string {
	h := sha256.New()
	for _, p := range t.paths() {
		e := t.entries[p]
		fmt.Fprintf(h, "%q %o %q %d %d %x\n", p, e.mode, e.target, e.size, e.stamp, e.text)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

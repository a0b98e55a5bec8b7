package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// module names what the guest's kernel must have. The order matters where a
// module looks for others by itself when it starts: encrypted-keys, on which
// dm-crypt depends, fails without cbc and ecb.
type module struct {
	name     string
	optional bool
}

// storeModules are what the product and its tests need.
var storeModules = []module{
	{name: "overlay"}, {name: "ext4"},
	{name: "ecb"}, {name: "cbc"}, {name: "xts"}, {name: "hmac"}, {name: "authenc"},
	{name: "sha256_generic", optional: true},
	{name: "aegis128"},
	{name: "algif_aead"}, // cryptsetup formats with aegis128 only after it asked the kernel this way
	{name: "dm-mod"}, {name: "dm-bufio"}, {name: "dm-crypt"}, {name: "dm-integrity"},
	{name: "loop"},
	{name: "dm-flakey"}, {name: "dm-delay"}, {name: "dm-log-writes"}, {name: "dm-zero"},
	{name: "dm-dust", optional: true},
	{name: "dm-snapshot", optional: true},
	{name: "crc32c_generic", optional: true},
}

// moduleTree is a directory /lib/modules/<release>, indexed.
type moduleTree struct {
	dir     string
	files   map[string]string // canonical name to path
	builtin map[string]bool
}

// canonical is the one spelling of a module's name: the kernel does not
// distinguish - and _.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// openModules indexes a directory of modules. It does not need depmod's files,
// which a package that was only unpacked does not have.
func openModules(dir string) (*moduleTree, error) {
	t := &moduleTree{dir: dir, files: map[string]string{}, builtin: map[string]bool{}}
	err := filepath.WalkDir(filepath.Join(dir, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if name, ok := moduleName(d.Name()); ok {
				t.files[name] = path
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kernel modules in %s: %w", dir, err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.FieldsSeq(string(list)) {
		if name, ok := moduleName(filepath.Base(line)); ok {
			t.builtin[name] = true
		}
	}
	return t, nil
}

// moduleName is the canonical name of a module's file, compressed or not.
func moduleName(file string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimSuffix(file, ".xz"), ".ko")
	return canonical(name), ok
}

// resolve lists the files to insert for the wanted modules, each after those
// that it depends on. What is built into the kernel is left out.
func (t *moduleTree) resolve(want []module) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	var visit func(m module) error
	visit = func(m module) error {
		name := canonical(m.name)
		if seen[name] || t.builtin[name] {
			return nil
		}
		seen[name] = true
		path, ok := t.files[name]
		if !ok {
			if m.optional {
				return nil
			}
			return fmt.Errorf("kernel module %s is not in %s", m.name, t.dir)
		}
		deps, err := dependencies(path)
		if err != nil {
			return err
		}
		for _, d := range deps {
			if err := visit(module{name: d}); err != nil {
				return err
			}
		}
		order = append(order, path)
		return nil
	}
	for _, m := range want {
		if err := visit(m); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// dependencies reads the names of the modules that the one at path needs from
// its .modinfo section: NUL-terminated words, among them depends=a,b.
func dependencies(path string) ([]string, error) {
	image, err := readModule(path)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("kernel module %s has no .modinfo section", path)
	}
	info, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	for word := range bytes.SplitSeq(info, []byte{0}) {
		if v, ok := bytes.CutPrefix(word, []byte("depends=")); ok && len(v) > 0 {
			return strings.Split(string(v), ","), nil
		}
	}
	return nil, nil
}

// readModule is the module's ELF image, uncompressed.
func readModule(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".xz") {
		return data, err
	}
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	return io.ReadAll(r)
}

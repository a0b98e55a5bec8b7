package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kernelFiles is an unpacked kernel package.
type kernelFiles struct {
	release string
	image   string // what QEMU boots
	modules string // lib/modules/<release>
}

// findKernel looks for the kernel of the highest version below dir.
func findKernel(dir string) (*kernelFiles, error) {
	modules, err := filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	if err != nil {
		return nil, err
	}
	more, err := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*"))
	if err != nil {
		return nil, err
	}
	modules = append(modules, more...)
	slices.SortStableFunc(modules, func(a, b string) int {
		return slices.Compare(numbers(filepath.Base(b)), numbers(filepath.Base(a)))
	})
	for _, m := range modules {
		release := filepath.Base(m)
		for _, image := range []string{filepath.Join(dir, "boot/vmlinuz-"+release), filepath.Join(m, "vmlinuz")} {
			if f, err := os.Open(image); err == nil {
				f.Close()
				return &kernelFiles{release: release, image: image, modules: m}, nil
			}
		}
	}
	return nil, fmt.Errorf("no readable kernel with its modules in %s", dir)
}

// numbers are the numbers in a release: 6.1.0-9 is older than 6.1.0-56.
func numbers(release string) []int {
	var list []int
	for _, digits := range strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			n = math.MaxInt // more digits than any release has
		}
		list = append(list, n)
	}
	return list
}

// bootTree is what the kernel needs before it sees any file of the host: init
// and the modules, in the order in which init inserts them.
func (k *kernelFiles) bootTree(init, arch string) (*tree, error) {
	modules, err := openModules(k.modules)
	if err != nil {
		return nil, err
	}
	files, err := modules.resolve(slices.Concat(machineTypes[arch].modules, qemuDrivers, storeModules))
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return nil, err
	}
	t := newTree()
	for _, d := range []string{"/dev", "/proc", "/sys", "/tmp"} {
		t.entries[d] = entry{mode: fs.ModeDir | 0o755}
	}
	t.addText("/init", 0o755, program)
	var list []string
	for _, f := range files {
		image, err := readModule(f)
		if err != nil {
			return nil, err
		}
		name := "/" + qemuModules + "/" + strings.TrimSuffix(filepath.Base(f), ".xz")
		t.addText(name, 0o644, image)
		list = append(list, name)
	}
	t.addText("/"+qemuModules+"/list", 0o644, []byte(strings.Join(list, "\n")))
	return t, nil
}

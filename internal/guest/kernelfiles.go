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

// kernelPackage is the package of the qemu bed's kernel, a name for the newest.
const kernelPackage = "linux-image-cloud-amd64"

// kernelFiles is an unpacked kernel package.
type kernelFiles struct {
	image   string // bzImage
	modules string // lib/modules/<release>
}

// installed finds a kernel: the directory that was asked for, else what setup
// unpacked, else what is installed on the host.
func (q *qemu) installed() (*kernelFiles, error) {
	if q.kernel != "" {
		return findKernel(q.kernel)
	}
	k, err := findKernel(filepath.Join(q.cache, "kernel"))
	if err == nil {
		return k, nil
	}
	if k, err := findKernel("/"); err == nil {
		return k, nil
	}
	return nil, err
}

// findKernel looks for the kernel of the highest version below dir.
func findKernel(dir string) (*kernelFiles, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*-cloud-amd64"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(images, func(a, b string) int { return slices.Compare(numbers(filepath.Base(a)), numbers(filepath.Base(b))) })
	for _, image := range slices.Backward(images) {
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
			modules := filepath.Join(dir, lib, release)
			_, errModules := os.Stat(modules)
			if f, errImage := os.Open(image); errImage == nil && errModules == nil {
				f.Close()
				return &kernelFiles{image: image, modules: modules}, nil
			}
		}
	}
	return nil, fmt.Errorf("no readable kernel of %s in %s", kernelPackage, dir)
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
func (k *kernelFiles) bootTree(self string) (*tree, error) {
	modules, err := openModules(k.modules)
	if err != nil {
		return nil, err
	}
	files, err := modules.resolve(slices.Concat(qemuDrivers, storeModules))
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(self)
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

package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// series are the kernels that guests are tested with. The newest is whatever
// Debian has.
const newest = "newest"

// kernelID names one of the kernels that setup puts into the cache.
type kernelID struct {
	bed    string
	series string // 6.1, 6.12 or newest
	arch   string
}

func (k kernelID) String() string {
	if k.bed == "uml" {
		return "uml-" + k.series
	}
	return "qemu-" + k.series + "-" + k.arch
}

// kernelSuites are Debian's suites that have a kernel.
var kernelSuites = map[kernelID][]string{
	{"uml", "6.1", "amd64"}:   {"bookworm"},
	{"uml", "6.12", "amd64"}:  {"trixie"},
	{"uml", newest, "amd64"}:  {"sid"},
	{"qemu", "6.1", "amd64"}:  {"bookworm"},
	{"qemu", "6.12", "amd64"}: {"trixie"},
	{"qemu", newest, "amd64"}: {"trixie-backports", "sid"},
	{"qemu", "6.12", "arm64"}: {"trixie"},
	{"qemu", "6.12", "s390x"}: {"trixie"},
}

// flavours are the endings of a kernel's packages, for each architecture.
var flavours = map[string]string{"amd64": "cloud-amd64", "arm64": "cloud-arm64", "s390x": "s390x"}

// kernelIDs are all kernels, in an order for people.
func kernelIDs() []kernelID {
	var list []kernelID
	for k := range kernelSuites {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b kernelID) int { return strings.Compare(b.bed+a.arch+a.series, a.bed+b.arch+b.series) })
	return list
}

// kernelSeries are the series that a bed can boot on an architecture.
func kernelSeries(bed, arch string) string {
	var list []string
	for _, k := range kernelIDs() {
		if k.bed == bed && k.arch == arch {
			list = append(list, k.series)
		}
	}
	return strings.Join(list, ", ")
}

// missingKernel is the lack of a kernel in the cache. One that is not in the
// directory that was named cannot be fetched: it is an error when it shall boot.
func missingKernel(bed, kernel, arch string) lack {
	if filepath.IsAbs(kernel) {
		return lack{}
	}
	return lack{kernels: []string{kernelID{bed, kernel, arch}.String()}}
}

// packages describes how setup makes the kernel.
func (k kernelID) packages() *unpacked {
	u := &unpacked{name: k.String(), arch: k.arch, suites: kernelSuites[k]}
	if k.bed == "uml" {
		u.bundles = k.umlBundle
		u.finish = k.finishUML
		return u
	}
	u.bundles = k.qemuBundles
	u.finish = func(root string) error {
		_, err := findKernel(root)
		return err
	}
	return u
}

// inSeries tells whether a version or release begins with a series' numbers.
func inSeries(version, series string) bool {
	if version == "" || version[0] < '0' || version[0] > '9' {
		return false
	}
	n := numbers(series)
	have := numbers(version)
	return series == newest || len(have) >= len(n) && slices.Equal(have[:len(n)], n)
}

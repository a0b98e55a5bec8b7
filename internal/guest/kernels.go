package main

import (
	"context"
	"fmt"
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

// missingKernel is the lack of a kernel in the cache, or in a directory.
func missingKernel(bed, kernel, arch string) lack {
	if filepath.IsAbs(kernel) {
		return lack{kernels: []string{kernel}}
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

// umlBundle is the one way to have a User-Mode Linux: with the C library that it
// was built for.
func (k kernelID) umlBundle(ctx context.Context, suites []*suite) ([]bundle, error) {
	names := []string{"user-mode-linux"}
	if k.needsXstate() {
		names = append(names, compiler)
	}
	all, err := bundleOf(ctx, suites, names...)
	if err != nil {
		return nil, err
	}
	all[0] = slices.DeleteFunc(all[0], func(o offer) bool { return !inSeries(o.version, k.series) })
	if len(all[0]) == 0 {
		return nil, nil
	}
	return []bundle{all}, nil
}

// bundleOf lists packages with the libraries that they need, as the first suite
// has them, and after it the others.
func bundleOf(ctx context.Context, suites []*suite, names ...string) (bundle, error) {
	names, err := suites[0].withLibraries(ctx, names...)
	if err != nil {
		return nil, err
	}
	var all []offer
	for _, s := range suites {
		o, err := s.versions(ctx, names)
		if err != nil {
			return nil, err
		}
		all = append(all, o...)
	}
	return group(all, names)
}

// group sorts offers by name.
func group(all []offer, names []string) (bundle, error) {
	var b bundle
	for _, n := range names {
		of := slices.DeleteFunc(slices.Clone(all), func(o offer) bool { return o.name != n })
		if len(of) == 0 {
			return nil, fmt.Errorf("no package %s", n)
		}
		b = append(b, of)
	}
	return b, nil
}

// qemuBundles are the releases of a series, the newest one first.
func (k kernelID) qemuBundles(ctx context.Context, suites []*suite) ([]bundle, error) {
	var all []offer
	for _, s := range suites {
		for _, prefix := range kernelParts {
			o, err := s.named(ctx, prefix)
			if err != nil {
				return nil, err
			}
			all = append(all, o...)
		}
	}
	return kernelBundles(all, k.series, flavours[k.arch])
}

// kernelParts are what the names of a release's packages start with. Releases
// before 6.19 are a whole in the first of them, later ones are split over the
// others.
var kernelParts = []string{"linux-image-", "linux-binary-", "linux-modules-", "linux-base-"}

// kernelBundles finds the releases of a series among all packages.
func kernelBundles(all []offer, series, flavour string) ([]bundle, error) {
	slices.SortStableFunc(all, func(a, b offer) int { return older(b, a) })
	parts := map[string][]string{} // package names of each release
	for _, o := range all {
		for _, prefix := range kernelParts {
			rest, part := strings.CutPrefix(o.name, prefix)
			release, ours := strings.CutSuffix(rest, "-"+flavour)
			if part && ours && inSeries(release, series) && !slices.Contains(parts[release], o.name) {
				parts[release] = append(parts[release], o.name)
			}
		}
	}
	var releases []string
	for r := range parts {
		releases = append(releases, r)
	}
	slices.SortFunc(releases, func(a, b string) int { return slices.Compare(numbers(b), numbers(a)) })
	var list []bundle
	for _, r := range releases {
		b, err := group(all, parts[r])
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
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

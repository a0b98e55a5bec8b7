package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

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

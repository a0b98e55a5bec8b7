package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// lack is what a bed cannot boot without.
type lack struct {
	packages []string // of Debian, which root installs
	kernels  []string // which setup fetches
}

func (l lack) empty() bool { return len(l.packages) == 0 && len(l.kernels) == 0 }

func (l lack) String() string { return strings.Join(slices.Concat(l.packages, l.kernels), " ") }

// hint says how to get what is missing.
func (l lack) hint() string {
	hint := "hint: make setup"
	if len(l.packages) > 0 {
		hint += "; or as root: apt-get install --no-install-recommends " + strings.Join(l.packages, " ")
	}
	if len(l.kernels) > 0 {
		hint += "; for the kernel, as any user: go tool guest setup " + strings.Join(l.kernels, " ")
	}
	return hint
}

// errNotInstalled names what a bed lacks and how to get it.
func errNotInstalled(bed string, l lack) error {
	return fmt.Errorf("the %s bed cannot start: missing %s\n%s", bed, l, l.hint())
}

// setup puts into the cache what was named, or all that it can fetch, without any
// privilege.
func setup(o *options, names []string, w io.Writer) error {
	want, err := wanted(o.cache, names)
	if err != nil {
		return err
	}
	if err := fetch(o.cache, want, w); err != nil {
		return err
	}
	for _, u := range want {
		fmt.Fprintf(w, "guest: %s is in %s\n", u.name, unpackedDir(o.cache, u.name))
	}
	if l := lackingPrograms(want); !l.empty() {
		return fmt.Errorf("missing %s\n%s", l, l.hint())
	}
	return nil
}

// lackingPrograms are those by which the kernels that setup fetched are booted.
func lackingPrograms(want []*unpacked) lack {
	var l lack
	for _, u := range want {
		t := machineTypes[u.arch]
		if strings.HasPrefix(u.name, "qemu-") && notInstalled(t.qemu) && !slices.Contains(l.packages, t.debian) {
			l.packages = append(l.packages, t.debian)
		}
	}
	return l
}

// wanted finds what setup was asked for.
func wanted(cache string, names []string) ([]*unpacked, error) {
	var all []*unpacked
	for _, id := range kernelIDs() {
		all = append(all, id.packages())
	}
	all = append(all, newCryptsetupPackages(), foreignToolPackages("arm64"), foreignToolPackages("s390x"))
	for _, c := range containerds {
		all = append(all, containerdPackages(c.series, c.suite))
	}
	if len(names) == 0 {
		return all, nil
	}
	var list []*unpacked
	for _, n := range names {
		i := slices.IndexFunc(all, func(u *unpacked) bool { return u.name == n })
		if i < 0 {
			var known []string
			for _, u := range all {
				known = append(known, u.name)
			}
			return nil, fmt.Errorf("setup cannot fetch %q: choose among %s", n, strings.Join(known, " "))
		}
		list = append(list, all[i])
	}
	return list, nil
}

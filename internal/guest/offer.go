package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// apt runs one of apt's programs on this suite.
func (s *suite) apt(ctx context.Context, dir, program string, args ...string) (string, error) {
	return output(ctx, dir, program, slices.Concat([]string{"-c", s.conf}, args)...)
}

// offer is one version of a package in one suite.
type offer struct {
	name, version string
	from          *suite
}

func (o offer) String() string { return o.name + "=" + o.version }

// older compares versions by their numbers, which orders what Debian calls one
// package of one suite or of its neighbours.
func older(a, b offer) int {
	return slices.Compare(numbers(a.version), numbers(b.version))
}

// named lists the versions of packages whose name starts with prefix.
func (s *suite) named(ctx context.Context, prefix string) ([]offer, error) {
	text, err := s.apt(ctx, "", "apt-cache", "pkgnames", prefix)
	if err != nil {
		return nil, err
	}
	return s.versions(ctx, strings.Fields(text))
}

// versions lists the versions of packages.
func (s *suite) versions(ctx context.Context, names []string) ([]offer, error) {
	if len(names) == 0 {
		return nil, nil
	}
	text, err := s.apt(ctx, "", "apt-cache", slices.Concat([]string{"madison"}, names)...)
	if err != nil {
		return nil, err
	}
	list := s.offers(text)
	slices.SortStableFunc(list, func(a, b offer) int { return older(b, a) })
	return list, nil
}

// offers reads lines of the form NAME | VERSION | SOURCE.
func (s *suite) offers(text string) []offer {
	var list []offer
	for line := range strings.Lines(text) {
		fields := strings.Split(line, "|")
		if len(fields) == 3 {
			list = append(list, offer{strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1]), s})
		}
	}
	return list
}

// withLibraries are the names of the packages and of the libraries that they
// depend on.
func (s *suite) withLibraries(ctx context.Context, names ...string) ([]string, error) {
	text, err := s.apt(ctx, "", "apt-cache", slices.Concat([]string{
		"depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances",
	}, names)...)
	if err != nil {
		return nil, err
	}
	return libraries(text, names), nil
}

// libraries adds to names the libraries among the packages that apt-cache lists,
// one a line, each followed by indented ones that it depends on.
func libraries(text string, names []string) []string {
	list := slices.Clone(names)
	for line := range strings.Lines(text) {
		name := strings.TrimSuffix(line, "\n")
		library := strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "zlib")
		if library && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// unpack downloads a package by way of tmp and unpacks it to root.
func (o offer) unpack(ctx context.Context, tmp, root string) error {
	dir, err := os.MkdirTemp(tmp, "download-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := o.from.apt(ctx, dir, "apt-get", "-q", "download", o.String()); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages, expected one: %w", o, len(debs), err)
	}
	_, err = output(ctx, "", "dpkg-deb", "-x", debs[0], root)
	return err
}

// output runs a program and returns what it printed. An error holds what it
// complained about.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(text), err
}

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

// suite is one of Debian's suites for one architecture, in a directory of its own:
// the machine's lists of packages, its sources and its architecture are left
// alone, and no privilege is needed. The machine's apt.conf holds (proxies and
// the like), and the signature is checked with Debian's key.
type suite struct {
	name, arch string
	conf       string // apt's configuration
}

// archiveKeys are the keys of Debian's archive, of package debian-archive-keyring.
const archiveKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// openSuite fetches the list of packages of a suite, from the first of the
// mirrors that has it.
func openSuite(ctx context.Context, dir string, mirrors []string, name, arch string) (*suite, error) {
	var failed error
	for _, m := range mirrors {
		s, err := newSuite(dir, m, name, arch)
		if err != nil {
			return nil, err
		}
		_, err = s.apt(ctx, dir, "apt-get", "-q", "update", "--error-on=any")
		if err == nil {
			return s, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, fmt.Errorf("list of Debian's packages in %s (%s): %w", name, arch, failed)
}

// newSuite writes what apt needs to know of a suite below dir.
func newSuite(dir, mirror, name, arch string) (*suite, error) {
	home := filepath.Join(dir, name+"-"+arch)
	if err := os.RemoveAll(home); err != nil {
		return nil, err
	}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "none"} {
		if err := os.MkdirAll(filepath.Join(home, d), 0o755); err != nil {
			return nil, err
		}
	}
	source := []byte(sourceLine(mirror, name, arch, archiveKeys))
	if err := os.WriteFile(filepath.Join(home, "sources.list"), source, 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(home, "status"), nil, 0o644); err != nil {
		return nil, err
	}
	s := &suite{name: name, arch: arch, conf: filepath.Join(home, "apt.conf")}
	return s, os.WriteFile(s.conf, []byte(aptConf(home, arch)), 0o644)
}

// aptConf is read after the machine's configuration.
func aptConf(home, arch string) string {
	var b strings.Builder
	for _, o := range [][2]string{
		{"Dir::Etc::sourcelist", "sources.list"}, {"Dir::Etc::sourceparts", "none"},
		{"Dir::Etc::preferences", "none/preferences"}, {"Dir::Etc::preferencesparts", "none"},
		{"Dir::State", "state"}, {"Dir::State::status", "status"}, {"Dir::Cache", "cache"},
	} {
		fmt.Fprintf(&b, "%s %q;\n", o[0], filepath.Join(home, o[1]))
	}
	fmt.Fprintf(&b, "#clear APT::Architectures;\nAPT::Architecture %q;\nAPT::Architectures { %q; };\n", arch, arch)
	return b.String()
}

// sourceLine is a suite as apt's sources name it; nothing but its packages.
func sourceLine(mirror, name, arch, keys string) string {
	options := "arch=" + arch + " target=Packages"
	if _, err := os.Stat(keys); err == nil {
		options += " signed-by=" + keys
	}
	return fmt.Sprintf("deb [%s] %s %s main\n", options, mirror, name)
}

// mirrors are the addresses of apt's sources on this machine that may be a mirror
// of Debian: those with a suite of a whole release. Which of them is one, its
// signature tells.
func mirrors(ctx context.Context) ([]string, error) {
	text, err := output(ctx, "", "apt-get", "update", "--print-uris")
	if err != nil {
		return nil, err
	}
	list := releaseMirrors(text)
	if len(list) == 0 {
		return nil, errors.New("apt's sources on this machine name no mirror of Debian: add one to /etc/apt/sources.list")
	}
	return list, nil
}

// releaseMirrors finds the mirrors in what apt would fetch for an update: a line
// is 'MIRROR/dists/SUITE/InRelease' NAME SIZE.
func releaseMirrors(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		uri, ok := strings.CutPrefix(line, "'")
		uri, _, closed := strings.Cut(uri, "'")
		mirror, rest, dists := strings.Cut(uri, "/dists/")
		name, release := strings.CutSuffix(rest, "/InRelease")
		if ok && closed && dists && release && !strings.ContainsAny(name, "-/") && !slices.Contains(list, mirror) {
			list = append(list, mirror)
		}
	}
	return list
}

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

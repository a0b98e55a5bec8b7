package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	// A mirror may be frozen: a list that is signed, and expired, is good enough.
	b.WriteString("Acquire::Check-Valid-Until \"false\";\n")
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

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// containerds are the series of containerd that tests compare with and hand over to,
// with the suite of Debian that has each.
var containerds = []struct{ series, suite string }{{"1.7", "trixie"}, {"2", "sid"}}

// containerdName is the name of a series, both in the cache and in a guest's PATH.
func containerdName(series string) string { return "containerd-" + series }

// containerdPackages describes how setup makes it: the daemon alone, which needs
// nothing but the C library.
func containerdPackages(series, suiteName string) *unpacked {
	return &unpacked{
		name: containerdName(series), arch: hostArch, suites: []string{suiteName},
		bundles: func(ctx context.Context, suites []*suite) ([]bundle, error) {
			all, err := suites[0].versions(ctx, []string{"containerd"})
			all = slices.DeleteFunc(all, func(o offer) bool { return !inSeries(o.version, series) })
			if len(all) == 0 {
				return nil, err
			}
			return []bundle{{all}}, nil
		},
		finish: func(root string) error { return finishContainerd(root, series) },
	}
}

// finishContainerd leaves the daemon alone in root, and starts it.
func finishContainerd(root, series string) error {
	program := filepath.Join(root, newTools, containerdName(series))
	if err := os.Mkdir(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(root, "usr/bin/containerd"), program); err != nil {
		return err
	}
	for _, rest := range []string{"usr", "etc", "lib"} {
		if err := os.RemoveAll(filepath.Join(root, rest)); err != nil {
			return err
		}
	}
	text, err := output(context.Background(), "", program, "--version")
	// containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+deb13u1
	if fields := strings.Fields(text); err == nil && (len(fields) < 3 || !inSeries(strings.TrimPrefix(fields[2], "v"), series)) {
		return fmt.Errorf("this is not containerd %s: %s", series, text)
	}
	return err
}

package main

import (
	"context"
	"os"
	"path/filepath"
)

// newCryptsetup is the name of Debian's newest cryptsetup, both in the cache and in
// a guest's PATH, where tests call it beside the host's own.
const newCryptsetup = "cryptsetup-newest"

// newTools is the directory of such programs below their unpacked packages.
const newTools = "run"

// newCryptsetupScript starts it with the libraries that it was built for.
const newCryptsetupScript = `#!/bin/sh
root=${0%/run/*}
lib=$root/usr/lib/x86_64-linux-gnu
OPENSSL_MODULES=$lib/ossl-modules
export OPENSSL_MODULES
exec "$lib/` + linker + `" --library-path "$lib" "$root/usr/sbin/cryptsetup" "$@"
`

// newCryptsetupPackages describes how setup makes it.
func newCryptsetupPackages() *unpacked {
	return &unpacked{
		name: newCryptsetup, arch: hostArch, suites: []string{"sid"},
		bundles: func(ctx context.Context, suites []*suite) ([]bundle, error) {
			b, err := bundleOf(ctx, suites, "cryptsetup-bin")
			return []bundle{b}, err
		},
		finish: finishNewCryptsetup,
	}
}

// finishNewCryptsetup writes the program that starts it, and starts it.
func finishNewCryptsetup(root string) error {
	script := filepath.Join(root, newTools, newCryptsetup)
	if err := os.Mkdir(filepath.Dir(script), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(script, []byte(newCryptsetupScript), 0o755); err != nil {
		return err
	}
	_, err := output(context.Background(), "", script, "--version")
	return err
}

// newToolsDir is the directory of newCryptsetup, if setup has fetched it.
func newToolsDir(cache string) (string, bool) {
	dir := filepath.Join(unpackedDir(cache, newCryptsetup), newTools)
	_, err := os.Stat(dir)
	return dir, err == nil
}

// offered are the names in the cache of what has a directory of programs for a guest's
// PATH.
func offered() []string {
	names := []string{newCryptsetup}
	for _, c := range containerds {
		names = append(names, containerdName(c.series))
	}
	return names
}

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fetchOne fetches without a package: finish makes what is in the directory.
func fetchOne(cache string, bundles []bundle, finish func(root string) error) error {
	return fetch(cache, []*unpacked{{
		name: "sample", arch: "amd64",
		bundles: func(context.Context, []*suite) ([]bundle, error) { return bundles, nil },
		finish:  finish,
	}}, io.Discard)
}

func TestFetchedAppearsWholeOrNotAtAll(t *testing.T) {
	cache := t.TempDir()
	dir := unpackedDir(cache, "sample")
	two := []bundle{{}, {}}
	unusable := errors.New("no kernel in it")
	err := fetchOne(cache, two, func(root string) error {
		require.NoError(t, os.WriteFile(filepath.Join(root, "half"), nil, 0o644))
		return unusable
	})
	require.ErrorIs(t, err, unusable)
	require.ErrorContains(t, err, "sample cannot be had")
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Empty(t, left)

	tries := 0
	second := func(root string) error {
		if tries++; tries == 1 {
			return unusable
		}
		require.NoDirExists(t, dir)
		return os.WriteFile(filepath.Join(root, "whole"), nil, 0o644)
	}
	require.NoError(t, fetchOne(cache, two, second), "the next older bundle")
	require.FileExists(t, filepath.Join(dir, "whole"))

	require.NoError(t, fetchOne(cache, two, func(string) error { return unusable }), "it is there already")
	require.ErrorContains(t, fetchOne(t.TempDir(), nil, second), "no such packages")
}

// TestFetchTakesTheNextOlderVersion has apt fail for all but one version.
func TestFetchTakesTheNextOlderVersion(t *testing.T) {
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	writeFile(t, bin+"/apt-get", []byte("#!/bin/sh\nfor last; do :; done\necho $last >>"+log+"\n[ $last = p=1 ] && : >p.deb\n"))
	writeFile(t, bin+"/dpkg-deb", []byte("#!/bin/sh\n: >$3/unpacked\n"))
	require.NoError(t, os.Chmod(bin+"/apt-get", 0o755))
	require.NoError(t, os.Chmod(bin+"/dpkg-deb", 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	cache, s := t.TempDir(), &suite{name: "sid", arch: "amd64"}
	versions := []offer{{"p", "3", s}, {"p", "2", s}, {"p", "1", s}}
	require.NoError(t, fetchOne(cache, []bundle{{versions}}, func(string) error { return nil }))
	tried, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, []string{"p=3", "p=2", "p=1"}, strings.Fields(string(tried)))
	list, err := os.ReadFile(filepath.Join(unpackedDir(cache, "sample"), packageList))
	require.NoError(t, err)
	require.Equal(t, "p=1\n", string(list))
	require.FileExists(t, filepath.Join(unpackedDir(cache, "sample"), "unpacked"))

	require.ErrorContains(t, fetchOne(t.TempDir(), []bundle{{versions[:2]}}, nil), "p=2")
}

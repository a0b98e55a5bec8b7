package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

var date = time.Unix(1_700_000_000, 0).UTC()

// The licences of every module that is linked in are there, with their texts.
func TestLicences(t *testing.T) {
	text, err := licencesOf([]string{"../../cmd/trusted-store", "../../cmd/trusted-guest"}, []string{"amd64"})
	require.NoError(t, err)
	packages, err := linkedInto([]string{"../../cmd/trusted-guest"}, "amd64")
	require.NoError(t, err)
	for _, p := range packages {
		title, _ := p.module()
		require.Contains(t, text, "\n"+title+"\n")
	}
	require.Contains(t, text, "Redistribution and use in source and binary forms")
	require.Contains(t, text, "\nGo\ngolang.org/x/", "one text for all that have the same")
}

func TestModuleWithoutLicence(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "below"), 0o755))
	err := collect(map[string][]string{}, map[string]bool{}, "example.org/m v1.0.0", dir, filepath.Join(dir, "below"))
	require.ErrorContains(t, err, "example.org/m v1.0.0 has no licence")
}

// The image is one for each CPU, is whole, and has the same bytes each time, whatever
// the files' own dates and modes.
func TestImage(t *testing.T) {
	var files [2][]byte
	for i := range files {
		dir := t.TempDir()
		for _, arch := range []string{"amd64", "s390x"} {
			bin := filepath.Join(dir, arch, "usr/bin")
			require.NoError(t, os.MkdirAll(bin, 0o700+os.FileMode(i)))
			require.NoError(t, os.WriteFile(filepath.Join(bin, "trusted-store"), []byte(arch), 0o700+os.FileMode(i)))
		}
		out := filepath.Join(dir, "image.tar")
		require.NoError(t, writeImage(out, "v1.2.3", date, []root{{"amd64", filepath.Join(dir, "amd64")}, {"s390x", filepath.Join(dir, "s390x")}}))
		var err error
		files[i], err = os.ReadFile(out)
		require.NoError(t, err)
		requireImages(t, out)
	}
	require.Equal(t, files[0], files[1])
}

func requireImages(t *testing.T, file string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("tar", "-x", "-f", file, "-C", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	top, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(top))
	m, err := top.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 1)
	require.Equal(t, "v1.2.3", m.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
	images, err := top.ImageIndex(m.Manifests[0].Digest)
	require.NoError(t, err)
	m, err = images.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 2)
	for _, d := range m.Manifests {
		image, err := images.Image(d.Digest)
		require.NoError(t, err)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, d.Platform, &v1.Platform{OS: config.OS, Architecture: config.Architecture})
		require.Equal(t, []string{"/usr/bin/trusted-store"}, config.Config.Entrypoint)
	}
}

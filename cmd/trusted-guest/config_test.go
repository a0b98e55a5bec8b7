package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
)

// A configuration file counts for pull and for serve: a wrong one is refused before
// anything is done, unknown keys are named, and its directory is the store.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	wrong := write("wrong.toml", "[image")
	for _, args := range [][]string{{"pull", "registry.example/app:1"}, {"serve", "--socket", filepath.Join(dir, "s.sock")}} {
		var out, errOut bytes.Buffer
		require.NotEqual(t, cli.ExitDone, run(t.Context(), append(args, "--config", wrong), &out, &errOut))
		require.Contains(t, errOut.String(), wrong)
	}
	work := filepath.Join(dir, "none")
	file := write("cdh.toml", "[image]\nwork_dir = \""+work+"\"\nfrom_tomorrow = 1\n[image.registry_config]\n")
	var out, errOut bytes.Buffer
	require.NotEqual(t, cli.ExitDone, run(t.Context(), []string{"pull", "registry.example/app:1", "--config", file}, &out, &errOut))
	require.Contains(t, errOut.String(), "image.from_tomorrow")
	require.Contains(t, errOut.String(), work, "there is no store")
	errOut.Reset()
	run(t.Context(), []string{"pull", "registry.example/app:1", "--config", file, "--store", dir + "/other"}, &out, &errOut)
	require.Contains(t, errOut.String(), dir+"/other")
}

// What a policy does not allow is refused before a store is looked for, with a status
// of its own.
func TestPolicyFlag(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.json")
	require.NoError(t, os.WriteFile(policy, []byte(`{"default":[{"type":"reject"}]}`), 0o600))
	var out, errOut bytes.Buffer
	args := []string{"pull", "registry.example/app:1", "--store", filepath.Join(t.TempDir(), "none"), "--policy", policy}
	require.Equal(t, cli.ExitRejected, run(t.Context(), args, &out, &errOut))
	require.Contains(t, errOut.String(), policy)
	require.Contains(t, errOut.String(), "rejects every image")
}

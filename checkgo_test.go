package house_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeGo is a go command that knows its version and its GOTOOLCHAIN only, and leaves
// a file when it is asked for anything else.
func fakeGo(t *testing.T, version, toolchain string) (path, used string) {
	t.Helper()
	dir := t.TempDir()
	path, used = filepath.Join(dir, "go"), filepath.Join(dir, "used")
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in\nversion) echo 'go version %s linux/amd64' ;;\n'env GOTOOLCHAIN') echo '%s' ;;\n*) touch '%s' ;;\nesac\n", version, toolchain, used)
	require.NoError(t, os.WriteFile(path, []byte(script), 0o755))
	return path, used
}

// needed is the version of Go that go.mod asks for.
func needed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(text)
	require.NotNil(t, m)
	return string(m[1])
}

// A Go that is too old, or none, is said by version before anything else is done.
func TestMakeSaysThatGoIsTooOld(t *testing.T) {
	for _, target := range []string{"demo", "build", "setup", "test"} {
		old, used := fakeGo(t, "go1.19.8", "")
		out, err := exec.Command("make", target, "GO="+old).CombinedOutput()
		require.Error(t, err, "%s", out)
		require.Contains(t, string(out), "Go 1.19.8 is too old: go.mod asks for "+needed(t))
		require.NotContains(t, string(out), "setup:", target)
		require.NoFileExists(t, used, target)
	}
	out, err := exec.Command("make", "demo", "GO=/nowhere/go").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "/nowhere/go does not run")
}

func TestCheckGo(t *testing.T) {
	for _, c := range []struct {
		version, toolchain string
		ok                 bool
		says               string
	}{
		{"go" + needed(t), "local", true, ""},
		{"go1.126.0", "local", true, ""},
		{"devel go1.27-0123abc Sat Nov 28", "local", true, ""},
		{"go1.25.9", "local", false, "Go 1.25.9 is too old"},
		{"go1.26rc1", "local", false, "Go 1.26 is too old"},
		{"go1.22.0", "auto", true, "Go 1.22.0 is older than"},
		{"go1.22.0", "go1.22.0+auto", true, "Go 1.22.0 is older than"},
		{"go1.22.0", "path", false, "Go 1.22.0 is too old"},
	} {
		path, used := fakeGo(t, c.version, c.toolchain)
		out, err := exec.Command(".ci/check-go", path).CombinedOutput()
		require.Equal(t, c.ok, err == nil, "%s: %s", c.version, out)
		require.Contains(t, string(out), c.says)
		require.Equal(t, c.says == "", len(out) == 0, "%s", out)
		require.NoFileExists(t, used)
	}
}

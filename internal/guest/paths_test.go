package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeptPaths(t *testing.T) {
	none := func(string) string { return "" }
	o := &options{args: []string{"/w/x.test", "-test.paniconexit0", "-test.coverprofile=/w/_cover_.out",
		"--test.gocoverdir=/w/gocoverdir", "-test.cpuprofile=cpu.out", "-test.outputdir=out", "plain=/x"}, out: pathList{"/o"}}
	require.Equal(t, []string{"/o", "/d/out", "/w/_cover_.out", "/w/gocoverdir", "/d/out/cpu.out"}, keptPaths(o, "/d", none))

	env := func(name string) string { return map[string]string{"GOCOVERDIR": "cov"}[name] }
	require.Equal(t, []string{"/d/cov"}, keptPaths(&options{args: []string{"x"}}, "/d", env))
}

func TestTheModuleAroundIsShown(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/go.mod", nil)
	require.Contains(t, shownPaths(&options{}, "/x", dir+"/a/b", nil), dir)
}

func TestShownPaths(t *testing.T) {
	o := &options{args: []string{"x", "-in=/tmp/in", "/tmp/arg", "relative"}, files: pathList{"/tmp/file"}}
	show := shownPaths(o, "/tmp/bin/x", "/d", []string{"/tmp/out/cover"})
	for _, p := range []string{"/tmp/in", "/tmp/arg", "/tmp/file", "/tmp/bin/x", "/d", "/tmp/out", "/tmp/out/cover"} {
		require.Contains(t, show, p)
	}
	require.NotContains(t, show, "relative")
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outputFlags are the flags of a Go test binary that name a file or directory
// to write, without -test.
var outputFlags = []string{
	"coverprofile", "gocoverdir", "testlogfile",
	"cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace",
}

// keptPaths are the host paths below which changes are returned: those of -out,
// those that the flags of a Go test name, and GOCOVERDIR.
func keptPaths(o *options, dir string, getenv func(string) string) []string {
	keep := slices.Clone([]string(o.out))
	base := dir
	if v := testFlag(o.args, "outputdir"); v != "" {
		base = absolute(dir, v)
		keep = append(keep, base)
	}
	for _, name := range outputFlags {
		if v := testFlag(o.args, name); v != "" {
			keep = append(keep, absolute(base, v))
		}
	}
	if d := getenv("GOCOVERDIR"); d != "" {
		keep = append(keep, absolute(dir, d))
	}
	return keep
}

// shownPaths are the host paths that the command is likely to use: its own
// file, the caller's directory with the Go module around it, and every absolute
// path among its arguments.
func shownPaths(o *options, command, dir string, keep []string) []string {
	show := slices.Concat([]string{dir, command}, keep, o.files)
	if root, ok := moduleRoot(dir); ok {
		show = append(show, root)
	}
	for _, k := range keep {
		show = append(show, filepath.Dir(k))
	}
	for _, a := range o.args {
		if i := strings.Index(a, "=/"); i >= 0 {
			a = a[i+1:]
		}
		if filepath.IsAbs(a) {
			show = append(show, a)
		}
	}
	return append(show, filepath.SplitList(os.Getenv("PATH"))...)
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// testFlag is the value of a flag of a Go test binary, written -test.name=value
// as the go command does, or empty.
func testFlag(args []string, name string) string {
	for _, a := range args {
		v, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), "test."+name+"=")
		if ok && strings.HasPrefix(a, "-") {
			return v
		}
	}
	return ""
}

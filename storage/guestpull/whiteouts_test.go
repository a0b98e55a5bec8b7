package guestpull_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What can be listed can be looked at, copied and removed: no whiteout that hides
// nothing is left, in whichever layer the directory is.
func TestNoGhosts(t *testing.T) {
	kernel(t)
	opaque := func(dir string) randomEntry { return fileEntry(dir+"/.wh..wh..opq", "") }
	base := []randomEntry{dirEntry("a/"), fileEntry("a/x", "x"), removal("a/ghost"), dirEntry("both/"), fileEntry("both/x", "")}
	for name, layers := range map[string][][]randomEntry{
		"of the lowest layer":           {base},
		"of one layer":                  {base, {dirEntry("b/"), fileEntry("b/y", "y"), removal("b/ghost"), removal("c/d/ghost")}},
		"in an opaque directory":        {base, {dirEntry("a/"), opaque("a"), removal("a/x"), fileEntry("a/z", "z")}},
		"opaque afterwards":             {base, {removal("a/x"), opaque("a"), fileEntry("a/z", "z")}},
		"below an opaque directory":     {base, {fileEntry("a/s/f", "")}, {removal("a/s/f"), opaque("a")}},
		"in a directory that was anew":  {base, {removal("a"), dirEntry("a/"), removal("a/x")}},
		"in one removed below":          {base, {removal("a")}, {dirEntry("a/"), removal("a/x")}},
		"where a file was below":        {base, {dirEntry("a/x/"), removal("a/x/ghost")}},
		"in the root":                   {base, {removal("ghost"), removal("both")}},
		"in a merged directory":         {base, {dirEntry("both/"), removal("both/ghost"), removal("both/x")}},
		"merged, and removed above":     {base, {removal("both/x"), removal("both/ghost")}, {removal("both")}, {fileEntry("both/new", "")}},
		"twice, and of what comes anew": {base, {removal("a/x"), removal("a/x"), fileEntry("a/x", "new"), fileEntry("n/n", ""), removal("n/n")}},
		"of a directory":                {base, {fileEntry("n/d/f", ""), removal("n/d"), removal("n/d/f")}},
		"the whole root":                {base, {opaque("."), removal("a/x"), fileEntry("a/new", "")}, {removal("a/x")}},
	} {
		t.Run(name, func(t *testing.T) {
			image := pullLayers(t, layers...)
			readTree(t, image.RootFS) // looks at each
			tool(t, "cp", "-a", image.RootFS, filepath.Join(t.TempDir(), "copy"))
			entries, err := os.ReadDir(image.RootFS)
			require.NoError(t, err)
			for _, e := range entries {
				require.NoError(t, os.RemoveAll(filepath.Join(image.RootFS, e.Name())))
			}
		})
	}
}

// What a layer removes stays removed when it is made anew, in whatever order the
// archive has it: as containerd has it on a mounted overlay.
func TestRemovedAndMadeAnew(t *testing.T) {
	kernel(t)
	c := newComparison(t)
	opaque := fileEntry("d/.wh..wh..opq", "")
	symlink := linkEntry(tar.TypeSymlink, "d", "elsewhere")
	for name, v := range map[string]struct {
		layer []randomEntry
		want  []string
	}{
		"removed, then made":           {[]randomEntry{removal("d"), dirEntry("d/"), fileEntry("d/new", "")}, []string{"d", "d/new"}},
		"removed, then passed through": {[]randomEntry{removal("d"), fileEntry("d/new", "")}, []string{"d", "d/new"}},
		"deeper":                       {[]randomEntry{removal("d"), fileEntry("d/sub/new", "")}, []string{"d", "d/sub", "d/sub/new"}},
		"made, then removed":           {[]randomEntry{dirEntry("d/"), fileEntry("d/new", ""), removal("d")}, nil},
		"made, removed, made":          {[]randomEntry{dirEntry("d/"), fileEntry("d/new", ""), removal("d"), dirEntry("d/")}, []string{"d"}},
		"a file, then a directory":     {[]randomEntry{fileEntry("d", ""), dirEntry("d/"), fileEntry("d/new", "")}, []string{"d", "d/new"}},
		"a link, then a directory":     {[]randomEntry{symlink, dirEntry("d/")}, []string{"d"}},
		"directory, file, directory":   {[]randomEntry{dirEntry("d/"), fileEntry("d", ""), dirEntry("d/")}, []string{"d"}},
		"removed, a file":              {[]randomEntry{removal("d"), fileEntry("d", "")}, []string{"d"}},
		"a file, removed":              {[]randomEntry{fileEntry("d", ""), removal("d")}, nil},
		"sub removed, then made":       {[]randomEntry{removal("d/sub"), dirEntry("d/sub/"), fileEntry("d/sub/new", "")}, []string{"d", "d/old", "d/sub", "d/sub/new"}},
		"sub removed, then a file":     {[]randomEntry{removal("d/sub"), fileEntry("d/sub", "")}, []string{"d", "d/old", "d/sub"}},
		"opaque, then made":            {[]randomEntry{opaque, dirEntry("d/"), fileEntry("d/sub/new", "")}, []string{"d", "d/sub", "d/sub/new"}},
		"made, then opaque":            {[]randomEntry{dirEntry("d/"), dirEntry("d/sub/"), fileEntry("d/sub/new", ""), opaque}, []string{"d", "d/sub", "d/sub/new"}},
		"opaque alone":                 {[]randomEntry{opaque}, []string{"d"}},
		"the root":                     {[]randomEntry{fileEntry(".wh..wh..opq", ""), fileEntry("d/new", "")}, []string{"d", "d/new"}},
		"removed through a link":       {[]randomEntry{linkEntry(tar.TypeSymlink, "l", "d"), removal("l/old"), fileEntry("l/new", "")}, []string{"d", "d/new", "d/sub", "d/sub/old", "l"}},
		"linked, then opaque":          {[]randomEntry{linkEntry(tar.TypeLink, "l", "d/sub/old"), opaque}, []string{"d", "l"}},
		"linked, then removed":         {[]randomEntry{linkEntry(tar.TypeLink, "l", "d/sub/old"), removal("d/sub/old"), fileEntry("d/x", "")}, []string{"d", "d/old", "d/sub", "d/x", "l"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dirEntry("d/")
			dir.Mode, dir.Uid = 0o701, 7
			m := &randomImage{layers: [][]randomEntry{{dir, fileEntry("d/old", "old"), dirEntry("d/sub/"), fileEntry("d/sub/old", "old")}, v.layer}}
			require.Equal(t, append([]string{"."}, v.want...), names(readTree(t, pullLayers(t, m.layers...).RootFS)))
			ours, theirs := c.compare(t, m)
			require.Equal(t, theirs, ours)
			m.layers = append(m.layers, []randomEntry{dirEntry("d/"), fileEntry("d/above", "")})
			ours, theirs = c.compare(t, m)
			require.Equal(t, theirs, ours)
		})
	}
}

// A hard link to a file of a layer below is a link to it, with all that it has; the
// layer waits for those below.
func TestHardLinksAcrossLayers(t *testing.T) {
	kernel(t)
	c := newComparison(t)
	program := fileEntry("bin/program", "program")
	program.Mode, program.Uid, program.PAXRecords = 0o4755, 3, map[string]string{"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.x": "y"}
	null := randomEntry{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666, ModTime: when}}
	below := []randomEntry{program, fileEntry("etc/file", "text"), linkEntry(tar.TypeSymlink, "soft", "etc/file"), null}
	link := func(name, target string) randomEntry {
		e := linkEntry(tar.TypeLink, name, target)
		e.Mode, e.Uid, e.PAXRecords = program.Mode, program.Uid, program.PAXRecords
		if name != "one" && name != "two" {
			e.Mode, e.Uid, e.PAXRecords = 0o640, 0, nil
		}
		return e
	}
	m := &randomImage{layers: [][]randomEntry{below, {fileEntry("etc/other", "")},
		{link("one", "/bin/program"), link("two", "./one"), link("three", "etc/file"), link("four", "soft"), link("five", "null")}}}
	ours, theirs := c.compare(t, m)
	require.NotEqual(t, "refused", ours)
	require.Equal(t, theirs, ours)
}

// What this package does otherwise than containerd: each with its reason in the
// package's documentation.
func TestDifferencesFromContainerd(t *testing.T) {
	kernel(t)
	c := newComparison(t)
	below := []randomEntry{linkEntry(tar.TypeSymlink, "lib", "usr/lib"), dirEntry("usr/lib/"), fileEntry("file", ""), fileEntry("d/old", "")}
	attribute := dirEntry("d/")
	attribute.PAXRecords = map[string]string{"SCHILY.xattr.user.d": "below"}
	root := dirEntry("/")
	root.Mode = 0o700
	power := fileEntry("p", "")
	power.Mode = 0o4755
	for name, v := range map[string]struct {
		layers [][]randomEntry
		ours   string // a part of it
		theirs string
	}{
		"through a link of a layer below": {[][]randomEntry{below, {fileEntry("lib/x", "")}}, `"lib" is "lib": d`, `"usr/lib/x"`},
		"through a file of a layer below": {[][]randomEntry{below, {fileEntry("file/x", "")}}, `"file" is "file": d`, "refused"},
		"attributes of a directory":       {[][]randomEntry{{attribute}, {dirEntry("d/")}}, `"d" is "d": d 750 0:0 0:0 "" map[]`, `map["user.d":"below"]`},
		"directories removed again":       {[][]randomEntry{{dirEntry("d/"), removal("d")}}, `"."`, "refused"},
		"opaque after what it is not for": {[][]randomEntry{{fileEntry("d/sub/x", ""), fileEntry("d/.wh..wh..opq", "")}}, `"d/sub/x"`, `"d" is`},
		"the root's own entry":            {[][]randomEntry{{root}}, `"." is ".": d 700`, `"." is ".": d 755`},
		"names outside":                   {[][]randomEntry{{fileEntry("../x", "")}}, "refused", `"x"`},
		"powers of a program's links":     {[][]randomEntry{{power, linkEntry(tar.TypeLink, "q", "p")}}, "4755", " 640 "},
	} {
		t.Run(name, func(t *testing.T) {
			m := &randomImage{layers: v.layers}
			ours, _ := c.compare(t, m)
			theirs := c.containerd(t, m, false)
			require.NotEqual(t, theirs, ours)
			require.Contains(t, ours, v.ours)
			require.Contains(t, theirs, v.theirs)
		})
	}
}

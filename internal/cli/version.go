package cli

import (
	_ "embed" // archive.txt
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// archive is what git archive makes of archive.txt: the commit, its time in seconds
// since 1970, and the last version before it, if there is one. In a clone, and in the
// module that the go command downloads, it is the format of that.
//
//go:embed archive.txt
var archive string

// build is what a program was built from.
type build struct {
	version string // of the module, as the go command writes it
	commit  string // in hexadecimal digits; empty if it is not known
}

func (b build) String() string {
	if b.commit == "" {
		return b.version
	}
	return b.version + ", commit " + b.commit
}

// Version is that of the program's module.
func Version() string { return thisBuild().version }

func thisBuild() build {
	if b, ok := archived(archive); ok {
		return b
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{version: "unknown"}
	}
	return stamped(info)
}

// stamped is what the go command knew: a version that was downloaded, or the commit
// of a clone.
func stamped(info *debug.BuildInfo) build {
	b := build{version: info.Main.Version}
	if b.version == "" {
		b.version = "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.commit = s.Value
		}
	}
	return b
}

// described is what git describe says: a version alone, or one before the commit.
var described = regexp.MustCompile(`^(v.+?)(-[0-9]+-g[0-9a-f]+)?$`)

// archived reads what git archive filled in. It is the same version that the go
// command gives to that commit of a clone.
func archived(text string) (b build, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 2 || len(fields[0]) < 12 {
		return build{}, false
	}
	seconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return build{}, false
	}
	older := ""
	if m := described.FindStringSubmatch(strings.Join(fields[2:], " ")); m != nil && semver.IsValid(m[1]) {
		if m[2] == "" {
			return build{m[1], fields[0]}, true
		}
		older = m[1]
	}
	version := module.PseudoVersion(semver.Major(older), older, time.Unix(seconds, 0).UTC(), fields[0][:12])
	return build{version, fields[0]}, true
}

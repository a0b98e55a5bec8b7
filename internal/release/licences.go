package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// linkedPackage is what go list says of one.
type linkedPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Root       string // of the standard library
	Module     *struct{ Path, Version, Dir string }
}

// licenceFile is how modules name what must go with their code.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)([-._].*)?$`)

// licencesOf collects the licences of all that is linked into the commands: those at
// the root of each module, and those between there and each package. A text that
// several have is there once.
func licencesOf(commands, architectures []string) (string, error) {
	where := map[string][]string{} // text: modules, with versions
	covered := map[string]bool{}
	for _, arch := range architectures {
		packages, err := linkedInto(commands, arch)
		if err != nil {
			return "", err
		}
		for _, p := range packages {
			title, top := p.module()
			if err := collect(where, covered, title, top, p.Dir); err != nil {
				return "", err
			}
		}
	}
	return joined(where), nil
}

func linkedInto(commands []string, arch string) ([]linkedPackage, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,Standard,Root,Module"}, commands...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s: %w", arch, err)
	}
	var all []linkedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linkedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// module is the title of what the package belongs to, and its directory.
func (p linkedPackage) module() (title, dir string) {
	if p.Standard {
		return "Go", p.Root
	}
	return strings.TrimSpace(p.Module.Path + " " + p.Module.Version), p.Module.Dir
}

// collect adds the licences from dir up to top. A module without one is an error.
func collect(where map[string][]string, covered map[string]bool, title, top, dir string) error {
	for at := dir; strings.HasPrefix(at, top); at = filepath.Dir(at) {
		if covered[at] {
			return nil
		}
		covered[at] = true
		files, err := os.ReadDir(at)
		if err != nil {
			return err
		}
		found := false
		for _, f := range files {
			if f.IsDir() || !licenceFile.MatchString(f.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(at, f.Name()))
			if err != nil {
				return err
			}
			found = true
			if !slices.Contains(where[string(text)], title) {
				where[string(text)] = append(where[string(text)], title)
			}
		}
		if at == top && !found {
			return fmt.Errorf("%s has no licence that is known here: %s", title, top)
		}
	}
	return nil
}

func joined(where map[string][]string) string {
	for _, titles := range where {
		slices.Sort(titles)
	}
	texts := slices.SortedFunc(maps.Keys(where), func(a, b string) int {
		return slices.Compare(append(slices.Clone(where[a]), a), append(slices.Clone(where[b]), b))
	})
	var b strings.Builder
	b.WriteString("The licences of trusted-store, trusted-guest and all that is linked into them.\n")
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n%[1]s\n\n%[3]s\n", strings.Repeat("=", 80), strings.Join(where[text], "\n"), strings.TrimSpace(text))
	}
	return b.String()
}

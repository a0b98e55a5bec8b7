// Package house_test holds what no single package can: the direction of
// imports, and that the documents show code and commands that work.
package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/trusted-store/trusted-store/"

// mayImport lists, for each package of the module that is part of the product,
// the others that it may import.
var mayImport = map[string][]string{
	// Text of an untrusted host becomes values there: pure, fuzzed, and whoever reads
	// it needs no registry client.
	"storage/guestpull/handover": {},

	"cmd/trusted-store":       {"storage", "cryptsetup", "internal/cli", "internal/storetab"},
	"cmd/trusted-guest":       {"storage", "storage/securemount", "storage/guestpull", "storage/protocol/cdh", "storage/protocol/stores", "internal/cli", "internal/metrics"},
	"storage/securemount":     {"storage", "storage/protocol/cdh", "storage/protocol/stores", "internal/keyservice", "internal/secret"},
	"storage/guestpull":       {"storage", "storage/protocol/cdh", "storage/protocol/stores", "storage/guestpull/handover", "internal/imagepolicy", "internal/keyservice"},
	"storage/protocol/cdh":    {},
	"storage/protocol/stores": {},
	"storage":                 {"cryptsetup", "integrity", "mkfs", "internal/blockdev", "internal/dm", "internal/keyring", "internal/loop", "internal/secret", "internal/undo"},
	"storage/storagetest":     {"internal/dm", "internal/loop"},
	"cryptsetup":              {"internal/dm", "internal/keyring", "internal/secret"},
	"integrity":               {"internal/dm", "internal/loop", "internal/undo"},
	"mkfs":                    {},
	"internal/bench":          {"integrity", "internal/dm", "internal/keyring", "mkfs", "storage"},
	"internal/blockdev":       {"internal/dm"},
	"internal/cli":            {"storage"},
	"internal/demo":           {"mkfs"},
	"internal/dm":             {"internal/undo"},
	"internal/guest":          {},
	"internal/imagepolicy":    {}, // what decides on signatures is apart from what fetches them
	"internal/keyring":        {},
	"internal/keyservice":     {"storage/protocol/cdh", "internal/secret"}, // keys and credentials come the same way
	"internal/loop":           {},
	"internal/metrics":        {"storage"},    // whoever imports what it counts gets no Prometheus
	"internal/reference":      {"cryptsetup"}, // pages and schemas of the commands: for their tests, so that no command holds what makes them
	"internal/release":        {},             // licences and image of a release
	"internal/secret":         {},
	"internal/storetab":       {}, // text of a file, and of sysfs, becomes values there: fuzzed
	// Runs go test on many kernels, and counts.
	"internal/testruns": {},
	"internal/undo":     {},
}

// public is what a user of the module may import, and examples with them.
var public = []string{
	"storage", "storage/securemount", "storage/guestpull", "storage/protocol/cdh", "storage/protocol/stores",
	"storage/guestpull/handover", "storage/storagetest", "cryptsetup", "integrity", "mkfs",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, patterns...)...).Output()
	require.NoError(t, err)
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := mayImport[name]
		if strings.HasPrefix(name, "examples/") {
			allowed, known = public, true
		}
		if p.ImportPath+"/" == module {
			known = true // the tests of this directory
		}
		require.True(t, known, "package %s has no place in the house: add it to mayImport, and say why it is needed", name)
		for _, i := range p.Imports {
			if below, ours := strings.CutPrefix(i, module); ours {
				require.True(t, slices.Contains(allowed, below), "%s imports %s, which the direction of imports does not allow", name, below)
			}
		}
	}
}

// Whoever imports storage gets no network, no second RPC library and nothing of
// Kubernetes.
func TestStorageStaysSmall(t *testing.T) {
	for _, p := range list(t, "./storage") {
		for _, dep := range p.Deps {
			for _, unwanted := range []string{"net/http", "ttrpc", "grpc", "k8s.io", "oras.land", "containerd", "os/exec", "spf13"} {
				require.NotContains(t, dep, unwanted)
			}
		}
	}
}

// Signatures, and the configuration of images, are for whoever pulls them.
func TestPoliciesStayInTheGuest(t *testing.T) {
	for _, p := range list(t, "./storage", "./cmd/trusted-store") {
		for _, dep := range p.Deps {
			for _, unwanted := range []string{"imagepolicy", "sigstore", "ProtonMail", "go.podman.io", "ocicrypt", "BurntSushi"} {
				require.NotContains(t, dep, unwanted, p.ImportPath)
			}
		}
	}
}

// Metrics are for the service alone: whoever has an agent or a monitoring of their own
// gets functions to call.
func TestMetricsStayInTheService(t *testing.T) {
	for _, p := range list(t, "./storage/...", "./cmd/trusted-store") {
		for _, dep := range p.Deps {
			require.NotContains(t, dep, "prometheus", p.ImportPath)
		}
	}
}

// The program in the README is the one that is compiled.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "<!-- examples/ephemeral/main.go -->\n```go\n")
	require.True(t, found)
	shown, _, _ := strings.Cut(rest, "```")
	source, err := os.ReadFile("examples/ephemeral/main.go")
	require.NoError(t, err)
	_, program, _ := strings.Cut(string(source), "package main")
	require.Equal(t, "package main"+program, shown)
}

// Each test that a document promises something by is there.
func TestTestsThatDocumentsName(t *testing.T) {
	there := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllSubmatch(source, -1) {
			there[string(found[1])] = true
		}
		return err
	}))
	documents, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, document := range append(documents, "SECURITY.md", "README.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`).FindAllString(string(text), -1) {
			require.True(t, there[name], "%s names %s, and there is no such test", document, name)
		}
	}
}

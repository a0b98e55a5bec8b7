package cli_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
)

func TestInCommand(t *testing.T) {
	for hint, want := range map[string]string{
		"storage.Close(encrypted_disk_a), or wait":                     "trusted-store close encrypted_disk_a, or wait",
		"storage.Create with CreateOptions.Overwrite destroys it":      "trusted-store create with --force destroys it",
		"storage.Create(/dev/vdb) with CreateOptions.Overwrite does":   "trusted-store create /dev/vdb with --force does",
		"with Options.MaxBytes, not with (storage.List) MyOptions.Own": "with --max-bytes, not with (trusted-store status) MyOptions.Own",
		"run it as root": "run it as root",
		"":               "",
	} {
		require.Equal(t, want, cli.InCommand(hint))
	}
}

// Who imports the library knows no commands and no flags; who runs the command
// reads no names of Go.
func TestLibrarySpeaksOfTheLibrary(t *testing.T) {
	ofCommands := regexp.MustCompile(`trusted-(store|guest) [a-z]|(^|\s)--[a-z]`)
	ofGo := regexp.MustCompile(`\bstorage\.[A-Z]|Options\.[A-Z]`)
	found := 0
	for file, text := range textsBelow(t, "../../storage") {
		require.NotRegexp(t, ofCommands, text, file)
		if ofGo.MatchString(text) {
			found++
			require.NotRegexp(t, ofGo, cli.InCommand(text), "%s: say in this package what it is for a command", file)
		}
	}
	require.Greater(t, found, 15, "the premise: hints are found")
}

// textsBelow yields the string constants in the code of a directory: all but
// the paths of imports.
func textsBelow(t *testing.T, dir string) func(func(file, text string) bool) {
	return func(yield func(string, string) bool) {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storagetest") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					_, imports := n.(*ast.ImportSpec)
					return !imports
				}
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				return yield(path, text)
			})
			return nil
		}))
	}
}

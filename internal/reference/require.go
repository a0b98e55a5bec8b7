package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// RequirePage is for a test in a command's directory: the page of all verbs in docs is
// what --help shows. With write it makes it so.
func RequirePage(t testing.TB, root *cobra.Command, write bool) {
	t.Helper()
	name := "../../docs/" + root.Name() + ".md"
	page := Page(root)
	if write {
		require.NoError(t, os.WriteFile(name, []byte(page), 0o644))
	}
	have, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, page, string(have), "make generate writes docs/%s.md anew", root.Name())
}

// RequireShare writes manual pages and completion of a command below a directory, a
// temporary one when dir is "", with that date in seconds since 1970.
func RequireShare(t testing.TB, root *cobra.Command, dir string, date int64) {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	require.NoError(t, Install(root, dir, time.Unix(date, 0).UTC()))
	require.FileExists(t, filepath.Join(dir, "man/man8", root.Name()+".8"))
	require.FileExists(t, filepath.Join(dir, "bash-completion/completions", root.Name()))
}

// RequireHelp wants the help of a command and of all below it to fit on so many columns,
// and to show how it is used. help prints that of the command with these arguments.
func RequireHelp(t testing.TB, c *cobra.Command, columns int, help func(args []string) string) {
	t.Helper()
	text := help(append(strings.Fields(c.CommandPath())[1:], "--help"))
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, "%s: %s", c.CommandPath(), line)
	}
	require.Contains(t, text, "print this help", c.CommandPath())
	if !c.HasAvailableSubCommands() {
		require.Contains(t, c.Example, c.Root().Name()+" ", "%s has no example", c.CommandPath())
		return
	}
	for _, sub := range c.Commands() {
		RequireHelp(t, sub, columns, help)
	}
}

// RequireSchemas is for a test in a command's directory: docs/schemas holds the
// schemas of its outputs, and no others. With write it makes them so.
func RequireSchemas(t testing.TB, outputs Outputs, program string, write bool) {
	t.Helper()
	const source = "../.."
	dir := filepath.Join(source, "docs", "schemas")
	schemas, err := outputs.Schemas(program, source)
	require.NoError(t, err)
	if write {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, WriteSchemas(dir, program, schemas))
	}
	files, err := filepath.Glob(filepath.Join(dir, program+"-*.json"))
	require.NoError(t, err)
	require.Len(t, files, len(schemas), "make generate writes docs/schemas anew")
	for name, want := range schemas {
		have, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "make generate writes docs/schemas/%s anew", name)
	}
}

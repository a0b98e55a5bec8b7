package reference

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

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

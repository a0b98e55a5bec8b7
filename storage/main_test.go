package storage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// kernel prepares a test that makes stores: it skips outside a bed, and fails
// when the test leaves anything.
func kernel(t *testing.T) {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
}

// create makes a store on the device, mounted at a new directory, and closes it
// when the test ends.
func create(t *testing.T, device string, opts storage.CreateOptions) *storage.Store {
	t.Helper()
	if opts.MountPoint == "" {
		opts.MountPoint = filepath.Join(t.TempDir(), "store")
	}
	s, err := storage.Create(t.Context(), device, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newKey(t *testing.T, text string) *storage.Key {
	t.Helper()
	key, err := storage.NewKey([]byte(text))
	require.NoError(t, err)
	t.Cleanup(key.Wipe)
	return key
}

// tool runs an outside program that a test compares with, and returns what it
// printed.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return string(out)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

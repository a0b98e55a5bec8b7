package mkfs_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// tool finds a program of e2fsprogs. Where the beds are required, as in CI, it must be there.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/sbin/", "/usr/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	if os.Getenv("TRUSTED_STORE_BEDS") == "required" {
		t.Fatalf("%s is not installed, and TRUSTED_STORE_BEDS=required: install e2fsprogs", name)
	}
	t.Skipf("%s is not installed: install e2fsprogs", name)
	return ""
}

// sparseFile is a file in which zeros are left as holes: the images of huge filesystems are mostly zero.
type sparseFile struct{ *os.File }

func (f sparseFile) WriteAt(b []byte, off int64) (int, error) {
	const block = mkfs.BlockSize
	for i := 0; i < len(b); i += block {
		if part := b[i : i+block]; !bytes.Equal(part, zeroBlock[:]) {
			if _, err := f.File.WriteAt(part, off+int64(i)); err != nil {
				return i, err
			}
		}
	}
	return len(b), nil
}

var zeroBlock [mkfs.BlockSize]byte

// newImage makes an empty, sparse image file of size bytes.
func newImage(t testing.TB, size uint64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, f.Truncate(int64(size)))
	return f
}

// formatImage formats a new sparse image and returns its path.
func formatImage(t testing.TB, size uint64, o mkfs.Options) (string, *mkfs.Layout) {
	t.Helper()
	f := newImage(t, size)
	l, err := mkfs.Format(context.Background(), sparseFile{f}, size, o)
	require.NoError(t, err)
	return f.Name(), l
}

// requireClean runs e2fsck without repairing: exit status 0, and five passes with nothing to say between them.
func requireClean(t testing.TB, image string) {
	t.Helper()
	out, err := exec.Command(tool(t, "e2fsck"), "-f", "-n", image).CombinedOutput()
	require.NoErrorf(t, err, "e2fsck: %s", out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Lenf(t, lines, 7, "e2fsck complains: %s", out)
	require.True(t, strings.HasPrefix(lines[0], "e2fsck "), lines[0])
	for i, line := range lines[1:6] {
		require.Truef(t, strings.HasPrefix(line, "Pass "+string(rune('1'+i))+":"), "e2fsck complains: %s", out)
	}
}

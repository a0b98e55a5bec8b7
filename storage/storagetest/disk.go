package storagetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trusted-store/trusted-store/internal/loop"
)

// DiskOptions say what kind of disk is made. The zero value is a read-write disk
// with 512-byte sectors.
type DiskOptions struct {
	ReadOnly   bool
	SectorSize int // 512 to 4096
}

// Disk returns the path of a new disk of size bytes, all zero, on a loop device
// over a sparse file. It is gone when the test ends.
func Disk(t testing.TB, size int64) string {
	t.Helper()
	return DiskWith(t, size, DiskOptions{})
}

// DiskWith is [Disk] with options.
func DiskWith(t testing.TB, size int64, o DiskOptions) string {
	t.Helper()
	return Attach(t, SparseFile(t, size), o)
}

// SparseFile returns the path of a new file of size bytes that takes no room. It
// is gone when the test ends.
func SparseFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// Attach attaches a file to a loop device until the test ends and returns the
// device's path.
func Attach(t testing.TB, file string, o DiskOptions) string {
	t.Helper()
	d, err := loop.Attach(file, loop.Options{ReadOnly: o.ReadOnly, BlockSize: o.SectorSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { detach(t, d.Path()) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return d.Path()
}

const detachWait = 30 * time.Second

// detach also waits for an opener that is about to go away, such as udev.
func detach(t testing.TB, path string) {
	if err := loop.Detach(path); err != nil {
		t.Error(err)
		return
	}
	for end := time.Now().Add(detachWait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := loop.BackingFile(path); err != nil {
			return
		}
	}
	t.Errorf("%s is still attached %v after the test: something has it open", path, detachWait)
}

package storagetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// BlockSize is the unit of [ReadBlock] and [WriteBlock] in bytes: that of the
// encryption, and one that direct I/O accepts everywhere.
const BlockSize = 4096

// openDirect opens a device past its page cache, so that what a test changes is
// what a host would have changed: the device, and nobody's memory.
func openDirect(t testing.TB, device string) *os.File {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_DIRECT|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // closed already, unless the test failed
	return f
}

func closeDevice(t testing.TB, f *os.File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func readAt(t testing.TB, device string, offset int64, n int) []byte {
	t.Helper()
	f := openDirect(t, device)
	b := mapped(t, n)
	defer unmap(t, b)
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatalf("read %d bytes at %d of %s: %v", n, offset, device, err)
	}
	closeDevice(t, f)
	return append([]byte(nil), b...)
}

func writeAt(t testing.TB, device string, offset int64, data []byte) {
	t.Helper()
	f := openDirect(t, device)
	b := mapped(t, len(data))
	defer unmap(t, b)
	copy(b, data)
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatalf("write %d bytes at %d of %s: %v", len(data), offset, device, err)
	}
	closeDevice(t, f)
}

// mapped returns n bytes of memory of the alignment that direct I/O needs.
func mapped(t testing.TB, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unmap(t testing.TB, b []byte) {
	if err := unix.Munmap(b); err != nil {
		t.Error(err)
	}
}

package storagetest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Snapshot is what a device held, or a part of it, to put back later: the host
// that rolls a disk back.
type Snapshot struct {
	device string
	offset int64
	file   string // sparse
	length int64
}

// TakeSnapshot copies length bytes at offset of a device, both multiples of
// [BlockSize]; length 0 means up to the device's end. Zeros take no room.
func TakeSnapshot(t testing.TB, device string, offset, length int64) *Snapshot {
	t.Helper()
	f := openDirect(t, device)
	if length == 0 {
		length = end(t, f) - offset
	}
	s := &Snapshot{device: device, offset: offset, length: length, file: filepath.Join(t.TempDir(), "snapshot")}
	out, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	copyBlocks(t, out, 0, f, offset, length)
	if err := errors.Join(out.Truncate(length), out.Close()); err != nil {
		t.Fatal(err)
	}
	closeDevice(t, f)
	return s
}

// Replay puts the snapshot back.
func (s *Snapshot) Replay(t testing.TB) {
	t.Helper()
	in, err := os.Open(s.file)
	if err != nil {
		t.Fatal(err)
	}
	f := openDirect(t, s.device)
	copyChanged(t, f, s.offset, in, s.length)
	closeDevice(t, f)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
}

func end(t testing.TB, f *os.File) int64 {
	t.Helper()
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// copySize is the unit of copying in bytes.
const copySize = 1 << 20

// copyBlocks copies what is not zero to a file that is zero.
func copyBlocks(t testing.TB, to *os.File, toOffset int64, from *os.File, offset, length int64) {
	t.Helper()
	b := mapped(t, copySize)
	defer unmap(t, b)
	for done := int64(0); done < length; done += copySize {
		part := b[:min(copySize, length-done)]
		if _, err := from.ReadAt(part, offset+done); err != nil {
			t.Fatal(err)
		}
		if allZero(part) {
			continue
		}
		if _, err := to.WriteAt(part, toOffset+done); err != nil {
			t.Fatal(err)
		}
	}
}

// copyChanged copies what differs to a device, so that a sparse disk stays so.
func copyChanged(t testing.TB, to *os.File, toOffset int64, from *os.File, length int64) {
	t.Helper()
	want, have := mapped(t, copySize), mapped(t, copySize)
	defer unmap(t, want)
	defer unmap(t, have)
	for done := int64(0); done < length; done += copySize {
		n := min(copySize, length-done)
		if _, err := from.ReadAt(want[:n], done); err != nil {
			t.Fatal(err)
		}
		if _, err := to.ReadAt(have[:n], toOffset+done); err != nil {
			t.Fatal(err)
		}
		if string(want[:n]) == string(have[:n]) {
			continue
		}
		if _, err := to.WriteAt(want[:n], toOffset+done); err != nil {
			t.Fatal(err)
		}
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

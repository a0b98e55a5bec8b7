package storagetest

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// CheckFilesystem runs e2fsck -fn on the mapping of a store that is not mounted, and
// fails unless it is clean.
//
// Nobody wiped the mapping: a block that was never written cannot be read. What the
// kernel reads ahead for e2fsck may be such a block, and since Linux 7.3 the page
// cache then fails the block that e2fsck asked for, too, since both are in one folio.
// So nothing is read ahead.
func CheckFilesystem(t testing.TB, mapping string) {
	t.Helper()
	f, err := os.Open(mapping)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The whole mapping leaves the page cache, with the folios of earlier readers.
	if _, err := unix.IoctlRetInt(int(f.Fd()), unix.BLKFLSBUF); err != nil {
		t.Fatal(os.NewSyscallError("BLKFLSBUF", err))
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRASET, 0); err != nil {
		t.Fatal(os.NewSyscallError("BLKRASET", err))
	}
	defer func() {
		if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRASET, defaultReadAhead); err != nil {
			t.Fatal(os.NewSyscallError("BLKRASET", err))
		}
	}()
	out, err := exec.Command(Tool(t, "e2fsck"), "-fn", "-E", "readahead_kb=0", mapping).CombinedOutput()
	if err != nil {
		t.Fatalf("e2fsck -fn %s: %v: %s", mapping, err, out)
	}
}

// defaultReadAhead is the kernel's, in sectors of 512 bytes (VM_READAHEAD_PAGES).
const defaultReadAhead = 256

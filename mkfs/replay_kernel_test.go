package mkfs_test

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

// TestJournalIsReplayedAfterACrash stops a filesystem as a crash would, with transactions in the journal only. At the next
// mount the kernel reads the journal to where the last transaction ends, and one block more.
func TestJournalIsReplayedAfterACrash(t *testing.T) {
	const size = 64 * mib
	device := neverWritten(t, size)
	formatDevice(t, device, size, mkfs.Options{Journal: true})
	dir := mount(t, device, "")
	path := filepath.Join(dir, "file")
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("synced before the crash")
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	shutdown(t, dir)
	unmount(t, dir)
	require.Contains(t, dumpe2fs(t, device)["Filesystem features"], "needs_recovery")

	dir = mount(t, device, "")
	content, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(t, err)
	require.Equal(t, "synced before the crash", string(content))
	unmount(t, dir)
	requireClean(t, device)
}

// shutdown is EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with the flag that leaves the journal as it is.
func shutdown(t *testing.T, dir string) {
	t.Helper()
	const request, noLogFlush = 0x8004587D, 2
	f, err := os.Open(dir)
	require.NoError(t, err)
	defer f.Close()
	flags := uint32(noLogFlush)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&flags)))
	require.Zero(t, errno)
}

package mkfs

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNotPrepared reports that the kernel could not read a block behind the filesystem that it must read to grow: nobody
// wrote it, or the device does not give back what was written.
var ErrNotPrepared = errors.New("a block behind the filesystem cannot be read")

// ResizeError says to which size the kernel would not grow a filesystem, and why.
type ResizeError struct {
	Size uint64 // bytes
	Err  error  // the kernel's, and ErrNotPrepared where that is why
}

// Error names the size and the reason.
func (e *ResizeError) Error() string { return fmt.Sprintf("mkfs: grow to %d bytes: %v", e.Size, e.Err) }

// Unwrap returns the reason.
func (e *ResizeError) Unwrap() error { return e.Err }

// resizeFS is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64): the number of blocks (fs/ext4/ext4.h). How _IOW is written
// differs between CPUs; FS_IOC_SETFLAGS is another.
const resizeFS uintptr = unix.FS_IOC_SETFLAGS&^0x1fffffff | 8<<16 | 'f'<<8 | 16

// Resize grows the mounted filesystem in which dir is an open directory to size bytes. The kernel writes the inode
// tables of the new groups before it returns, if the filesystem is mounted with noinit_itable; the call cannot be
// interrupted. It needs CAP_SYS_RESOURCE. On a device of which not every block was written, size must be one of a
// [Growth] that was prepared.
//
// Errors are *ResizeError: ErrNotPrepared; EBUSY while another resize is under way; EINVAL for less than there is.
func Resize(dir *os.File, size uint64) error {
	blocks := size / BlockSize
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSPC, unix.EIO, unix.EILSEQ: // the first is for the last block
		return &ResizeError{size, fmt.Errorf("%w: %w", ErrNotPrepared, errno)}
	}
	return &ResizeError{size, errno}
}

package integrity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
)

// TagMemory is memory of this machine that holds the superblock, the journal and
// the tags of a separate layout, so that whoever has the device with the data
// cannot change them, nor put old ones back.
//
// It is a memory file without a name (memfd), sealed against a change of its
// size, behind a loop device. The kernel frees it when the mapping over it is
// removed and no TagMemory is open. Only what was written or reserved takes
// memory, in pages of 4096 bytes: the tags of 512 KiB of data. Another process
// of root's can look at it through the loop device, and open it by
// [OpenTagMemory]; that gains it nothing, since tags are no secret and root is
// trusted.
//
// Memory that is neither written nor reserved may be missing when it is needed.
// dm-integrity then loses tags of blocks that it said were written, and no error
// reaches the writer in time. So reserve before a sector may be written.
type TagMemory struct{ memory }

// tagMemoryName begins the name that the loop device knows its file by; the
// file's handle follows, in hexadecimal digits.
const tagMemoryName = "trusted-store-tags:"

// NewTagMemory makes the memory of a layout, all zero and not reserved. It needs
// root and loop devices; where the kernel has no file handles (CONFIG_FHANDLE)
// the error wraps [ErrNotSupported].
func NewTagMemory(l Layout) (*TagMemory, error) {
	t, err := newTagMemory(l)
	return t, opError("make", "tag memory", err)
}

func newTagMemory(l Layout) (*TagMemory, error) {
	if !l.Separate {
		return nil, fmt.Errorf("%w: the layout has its tags beside the data", ErrInvalid)
	}
	memory, err := newMemory(l.SeparateBytes(), handleName)
	if err != nil {
		return nil, err
	}
	return &TagMemory{*memory}, nil
}

// handleName names the file by its handle, so that others can open it.
func handleName(fd int) (string, error) {
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: no file handles (CONFIG_FHANDLE): %w", ErrNotSupported, err)
	}
	return tagMemoryName + hex.EncodeToString(handle.Bytes()), err
}

// OpenTagMemory opens the memory behind a loop device that [NewTagMemory] made,
// also in another process than the one that made it.
func OpenTagMemory(device dm.Device) (*TagMemory, error) {
	t, err := openTagMemory(device)
	return t, opError("open", fmt.Sprintf("tag memory on device %v", device), err)
}

func openTagMemory(device dm.Device) (*TagMemory, error) {
	d, err := loop.Open(device.String())
	if err != nil {
		return nil, err
	}
	file, err := reopenMemory(d)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &TagMemory{memory{file: file, disk: d.File()}}, nil
}

// memoryHandle is the type of handle that shared memory gives out
// (FILEID_INO32_GEN, mm/shmem.c).
const memoryHandle = 1

// reopenMemory goes through the handle. All memory files of a kernel are of one
// filesystem, so another one leads there.
func reopenMemory(d *loop.Device) (*os.File, error) {
	name, err := d.Name()
	if err != nil {
		return nil, err
	}
	digits, ours := strings.CutPrefix(name, tagMemoryName)
	handle, err := hex.DecodeString(digits)
	if !ours || err != nil || len(handle) == 0 {
		return nil, fmt.Errorf("%w: %s holds no tag memory, but %q", ErrInvalid, d.Path(), name)
	}
	other, err := unix.MemfdCreate("", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(other)
	fd, err := unix.OpenByHandleAt(other, unix.NewFileHandle(memoryHandle, handle), unix.O_RDWR|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open the memory by its handle: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Reserve takes the memory for the tags of a layout's data from one sector up to
// another, and with the first also that of superblock and journal, so that
// writing them cannot fail for want of memory. What is taken already stays as it
// is. After a failure a part may have been taken.
func (t *TagMemory) Reserve(l Layout, from, to uint64) error {
	return opError("reserve", "tag memory", t.reserve(l, from, min(to, l.ProvidedSectors)))
}

func (t *TagMemory) reserve(l Layout, from, to uint64) error {
	if !l.Separate || from%blockSectors != 0 || to%blockSectors != 0 || from > to {
		return fmt.Errorf("%w: sectors %d to %d", ErrInvalid, from, to)
	}
	start, end := l.TagPosition(from), l.TagPosition(to)
	if from == 0 {
		start = 0
	}
	for start < end {
		n := min(end-start, reserveAtOnce)
		switch err := unix.Fallocate(int(t.file.Fd()), 0, int64(start), int64(n)); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("take %d bytes of memory: %w", n, err)
		default:
			start += n
		}
	}
	return nil
}

// reserveAtOnce is how many bytes one system call takes: a signal, such as Go's own
// scheduler sends, makes it give back what it has taken so far.
const reserveAtOnce = 1 << 20

// Bytes returns how much memory is taken, and how much there can be.
func (t *TagMemory) Bytes() (taken, most uint64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(t.file.Fd()), &st); err != nil {
		return 0, 0, opError("look at", "tag memory", err)
	}
	return uint64(st.Blocks) * sectorSize, uint64(st.Size), nil
}

// Close lets go of the memory. Unless a mapping uses it, it is gone then.
func (t *TagMemory) Close() error {
	if t == nil {
		return nil
	}
	return opError("close", "tag memory", t.memory.Close())
}

package integrity

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
)

// memory is memory of this machine as a block device: a memory file without a path
// (memfd), sealed against a change of its size, behind a loop device. The kernel
// frees it when no mapping uses it and it is not open.
type memory struct {
	file *os.File // the memory file
	disk *os.File // the loop device over it
}

// superblockMemoryName is the name that the loop device knows the file by.
const superblockMemoryName = "trusted-store-superblock"

// metadata returns the memory that the superblock is in, and puts it there.
func (m Mapping) metadata(s Superblock) (*memory, error) {
	if m.Tags != nil {
		return &m.Tags.memory, nil // new, and zero
	}
	metadata, err := newMemory(m.sectorsInMemory()*sectorSize, func(int) (string, error) { return superblockMemoryName, nil })
	if err != nil {
		return nil, err
	}
	if _, err := metadata.file.WriteAt(s.Bytes(), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("put the superblock in memory: %w", err), metadata.Close())
	}
	return metadata, nil
}

// newMemory makes memory of that size, all zero.
func newMemory(bytes uint64, nameOf func(fd int) (string, error)) (*memory, error) {
	file, err := newMemoryFile(bytes, nameOf)
	if err != nil {
		return nil, err
	}
	// Detached by itself, and so freed, when the mapping goes.
	d, err := loop.AttachFile(file, loop.Options{Autoclear: true})
	if errors.Is(err, loop.ErrNotSupported) {
		err = fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &memory{file: file, disk: d.File()}, nil
}

func newMemoryFile(bytes uint64, nameOf func(fd int) (string, error)) (*os.File, error) {
	fd, err := unix.MemfdCreate("trusted-store", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	name, err := nameOf(fd)
	f := os.NewFile(uintptr(fd), name)
	if err == nil {
		err = f.Truncate(int64(bytes))
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("size a memory file to %d bytes: %w", bytes, err), f.Close())
	}
	return f, nil
}

// superblock returns what is in memory now, after the kernel's writes.
func (m *memory) superblock() (Superblock, error) {
	b := make([]byte, SuperblockSize)
	if _, err := m.file.ReadAt(b, 0); err != nil {
		return Superblock{}, fmt.Errorf("read the superblock in memory: %w", err)
	}
	return ParseSuperblock(b)
}

func (m *memory) number() (dm.Device, error) { return dm.DeviceOf(m.disk) }

func (m *memory) Close() error { return errors.Join(m.disk.Close(), m.file.Close()) }

package integrity

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// page returns one page of memory, aligned as O_DIRECT needs it, and the
// function that gives it back.
func page() ([]byte, func() error, error) {
	p, err := unix.Mmap(-1, 0, SuperblockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, fmt.Errorf("map %d bytes: %w", SuperblockSize, err)
	}
	return p, func() error { return unix.Munmap(p) }, nil
}

// withPage runs use with the device opened once more, past the page cache, and
// an aligned page.
func withPage(device *os.File, mode int, use func(f *os.File, page []byte) error) (err error) {
	p, free, err := page()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, free()) }()
	f, err := dm.Reopen(device, mode|unix.O_DIRECT)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return use(f, p)
}

func readSuperblock(device *os.File, offset uint64) (s Superblock, err error) {
	err = withPage(device, os.O_RDONLY, func(f *os.File, page []byte) error {
		if _, err := f.ReadAt(page, int64(offset*sectorSize)); err != nil {
			return fmt.Errorf("read the superblock at sector %d: %w", offset, err)
		}
		s, err = ParseSuperblock(page)
		return err
	})
	return s, err
}

// leaveSuperblock writes the superblock to the device, for whoever looks at it: the
// next Activate, or other programs. A layer that will be activated again has it
// there for good when this returns.
func (m Mapping) leaveSuperblock() error {
	if m.Layout.Separate {
		return nil
	}
	flags := 0
	if !m.Ephemeral {
		flags = unix.O_DSYNC
	}
	return writeSuperblock(m.Device, m.Layout, flags)
}

// WriteSuperblock writes the superblock of a layout to its device, and returns when
// it is there for good. It is for a layer on a device that was enlarged, once the
// kernel has the new size. All that the superblock says is within one sector of 512
// bytes, so a device that is cut off has the old one or the new one.
func WriteSuperblock(device *os.File, l Layout) error {
	return opError("write", device.Name(), writeSuperblock(device, l, unix.O_DSYNC))
}

func writeSuperblock(device *os.File, l Layout, flags int) error {
	return withPage(device, os.O_RDWR|flags, func(f *os.File, page []byte) error {
		copy(page, l.Superblock().Bytes())
		if _, err := f.WriteAt(page, int64(l.Offset*sectorSize)); err != nil {
			return fmt.Errorf("write the superblock at sector %d: %w", l.Offset, err)
		}
		return nil
	})
}

// sectors returns the size of a device in sectors.
func sectors(device *os.File) (uint64, error) {
	size, err := device.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = device.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the size: %w", err)
	}
	return uint64(size) / sectorSize, nil
}

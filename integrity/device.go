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
// an aligned page: the kernel too reads and writes the superblock past it.
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

// zeroSuperblock makes the kernel format the device at the next load. The
// device is open exclusively meanwhile, so that one in use is never touched.
func zeroSuperblock(device *os.File, offset uint64) error {
	return withPage(device, os.O_RDWR|os.O_EXCL, func(f *os.File, page []byte) error {
		if _, err := f.WriteAt(page, int64(offset*sectorSize)); err != nil {
			return fmt.Errorf("zero the superblock at sector %d: %w", offset, err)
		}
		return nil // past the page cache, so the load sees it; a sync would only wait
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

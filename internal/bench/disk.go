package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

const (
	sectorSize = 512
	blockSize  = 4096
	dataOffset = 16 << 20 // where a volume's data begins on its disk
)

// disk is a raw disk of the bed.
type disk struct {
	path   string
	bytes  uint64
	number dm.Device
}

func openDisk(path string) (d disk, err error) {
	f, err := os.Open(path)
	if err != nil {
		return disk{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return disk{}, err
	}
	number, err := dm.DeviceOf(f)
	return disk{path, uint64(size), number}, err
}

// blank takes every signature off: what lies before the data, the integrity
// superblock, and the end.
func (d disk) blank() error {
	f, err := os.OpenFile(d.path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	zeros := aligned(1 << 20)
	for offset := int64(0); offset <= dataOffset && err == nil; offset += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, offset)
	}
	if err == nil {
		_, err = f.WriteAt(zeros, int64(d.bytes)-int64(len(zeros)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// warm lets the host allocate blocks in the front of a sparse disk, which else
// the first side would pay for.
func (d disk) warm() (err error) {
	f, err := os.OpenFile(d.path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	data := aligned(1 << 20)
	defer func() { err = errors.Join(err, unix.Munmap(data)) }()
	copy(data, randomBytes(len(data)))
	for offset := int64(0); offset < min(warmed, int64(d.bytes)) && err == nil; offset += int64(len(data)) {
		_, err = f.WriteAt(data, offset)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// warmed is how much of a disk is, in bytes.
const warmed = 512 << 20

// workDisk is the disk of workSize, or the first.
func (in *inside) workDisk() (disk, error) {
	if len(in.disks) == 0 {
		return disk{}, errors.New("the bed has no raw disk")
	}
	for _, d := range in.disks {
		if d.bytes == workSize {
			return d, nil
		}
	}
	return in.disks[0], nil
}

// aligned returns memory that direct I/O accepts; it is never given back.
func aligned(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(fmt.Sprintf("map %d bytes: %v", n, err)) // out of memory
	}
	return b
}

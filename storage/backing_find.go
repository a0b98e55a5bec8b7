package storage

import (
	"errors"
	"os"

	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// Backing is what a host has for a volume.
type Backing struct {
	Device string // absolute path of the block device; "" when File is attached to none
	File   string // absolute path of the file behind it; "" when a device was named
	Bytes  int64
}

// FindBacking describes a file for a volume and the loop device that it is attached
// to, or a block device. It changes nothing, and needs no more than the right to read
// the device.
func FindBacking(deviceOrFile string) (Backing, error) {
	b, err := findBacking(deviceOrFile)
	return b, failure("volume", deviceOrFile, "", err)
}

func findBacking(deviceOrFile string) (Backing, error) {
	real, err := realPath(deviceOrFile)
	if err != nil {
		return Backing{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return Backing{}, withoutName(err, real)
	}
	if info.Mode().IsRegular() {
		return backingOfFile(real, info.Size())
	}
	d, err := blockdev.Open(real, blockdev.Options{ReadOnly: true})
	if errors.Is(err, blockdev.ErrNotBlockDevice) {
		return Backing{}, because(err, ErrInvalid, "", "neither a block device nor a regular file")
	}
	if err != nil {
		return Backing{}, withoutName(err, real)
	}
	return Backing{Device: real, Bytes: int64(d.Size())}, d.Close()
}

func backingOfFile(file string, size int64) (Backing, error) {
	devices, err := attachedTo(file)
	b := Backing{File: file, Bytes: size}
	if len(devices) > 0 {
		b.Device = devices[0]
	}
	return b, err
}

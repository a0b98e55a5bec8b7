package dm

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Device is the number of a block device.
type Device struct{ Major, Minor uint32 }

// ErrNotBlockDevice: a file that must be a block device is none.
var ErrNotBlockDevice = errors.New("not a block device")

// String returns "MAJ:MIN" in decimal, as in a table.
func (d Device) String() string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// ParseDevice reads "MAJ:MIN", both decimal and without sign or leading zeros.
func ParseDevice(s string) (Device, error) {
	major, minor, ok := strings.Cut(s, ":")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	d := Device{uint32(a), uint32(b)}
	if !ok || errA != nil || errB != nil || d.String() != s {
		return Device{}, fmt.Errorf("%q is not a device number MAJ:MIN", s)
	}
	return d, nil
}

// DeviceOf returns the number of the block device that f is open on, or an
// error that wraps [ErrNotBlockDevice].
func DeviceOf(f *os.File) (Device, error) {
	info, err := f.Stat()
	if err != nil {
		return Device{}, err
	}
	return deviceOfInfo(f.Name(), info)
}

func deviceOfInfo(name string, info os.FileInfo) (Device, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&(os.ModeDevice|os.ModeCharDevice) != os.ModeDevice {
		return Device{}, fmt.Errorf("%s: %w", name, ErrNotBlockDevice)
	}
	return fromRdev(uint64(stat.Rdev)), nil
}

func fromRdev(dev uint64) Device { return Device{unix.Major(dev), unix.Minor(dev)} }

func (d Device) rdev() uint64 { return unix.Mkdev(d.Major, d.Minor) }

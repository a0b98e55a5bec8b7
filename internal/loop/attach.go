package loop

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how a file is attached. The zero value is a read-write device with
// 512-byte sectors that stays until it is detached.
type Options struct {
	ReadOnly  bool
	DirectIO  bool // past the page cache of the backing file
	BlockSize int  // logical block size in bytes, a power of 2 from 512 to 4096; 0: 512
	Autoclear bool // detached by itself when the last opener closes the device
}

// Device is a loop device with a file attached, held open.
type Device struct {
	file *os.File
	path string
}

// Attach attaches the file at path to a free loop device. Without loop devices
// in the kernel the error wraps [ErrNotSupported].
func Attach(path string, o Options) (*Device, error) {
	mode := os.O_RDWR
	if o.ReadOnly {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, opError("attach", path, err)
	}
	defer f.Close() // the kernel holds its own reference
	return AttachFile(f, o)
}

// AttachFile attaches an open file, which needs no path: a memory file works. f
// may be closed afterwards.
func AttachFile(f *os.File, o Options) (*Device, error) {
	d, err := attach(f, o)
	return d, opError("attach", f.Name(), err)
}

// Other programs ask for free devices too and may be faster.
const (
	attempts = 200
	pause    = 5 * time.Millisecond
)

func attach(f *os.File, o Options) (*Device, error) {
	ctl, err := openControl()
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	for range attempts {
		number, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free device: %w", err)
		}
		d, err := configure(number, f, o)
		if err == nil || !retry(err) {
			return d, err
		}
		time.Sleep(pause)
	}
	return nil, fmt.Errorf("%w after %d attempts", ErrBusy, attempts)
}

// retry reports whether another program got to the device first, or removed it.
func retry(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV)
}

func configure(number int, f *os.File, o Options) (*Device, error) {
	loop, err := openDevice(number, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Size: uint32(o.BlockSize)}
	config.Info.Flags = o.flags()
	copy(config.Info.File_name[:len(config.Info.File_name)-1], f.Name())
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", loop.Name(), err), loop.Close())
	}
	return &Device{file: loop, path: loop.Name()}, nil
}

func (o Options) flags() uint32 {
	var flags uint32
	if o.ReadOnly {
		flags |= unix.LO_FLAGS_READ_ONLY
	}
	if o.DirectIO {
		flags |= unix.LO_FLAGS_DIRECT_IO
	}
	if o.Autoclear {
		flags |= unix.LO_FLAGS_AUTOCLEAR
	}
	return flags
}

// Path returns the device's node, "/dev/loopN".
func (d *Device) Path() string { return d.path }

// File returns the open device; it is closed by Close.
func (d *Device) File() *os.File { return d.file }

// Close closes the device. The file stays attached, unless Autoclear was asked
// for and nobody else has the device open.
func (d *Device) Close() error { return opError("close", d.path, d.file.Close()) }

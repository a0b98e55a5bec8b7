package blockdev

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// The sentinels a caller decides by. They are wrapped in an [*OpError].
var (
	// ErrNotBlockDevice: the name is of something else.
	ErrNotBlockDevice = dm.ErrNotBlockDevice
	// ErrBusy: another program holds the device or its lock.
	ErrBusy = errors.New("device is in use")
)

// OpError is the error of every operation of this package.
type OpError struct {
	Op   string // "open", "lock", …
	Name string // as it was given
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("block device: %s %s: %v", e.Op, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: op, Name: name, Err: err}
}

// Options say how a device is opened.
type Options struct {
	ReadOnly bool
	// Exclusive fails with [ErrBusy] when a mount, a mapping or another
	// exclusive opener has the device. A mapping cannot be loaded on a device
	// that is open exclusively: close it first.
	Exclusive bool
	// Direct reads and writes past the page cache; memory, offsets and lengths
	// must then be multiples of the logical block size.
	Direct bool
}

// Device is an open block device.
type Device struct {
	file    *os.File
	number  dm.Device
	size    uint64
	logical int
	ro      bool
}

// Open opens a device by path, or by number as "MAJ:MIN". A regular file, a
// directory or a character device is refused with [ErrNotBlockDevice].
func Open(nameOrNumber string, o Options) (*Device, error) {
	d, err := open(nameOrNumber, o)
	return d, opError("open", nameOrNumber, err)
}

func open(nameOrNumber string, o Options) (*Device, error) {
	f, err := openFile(nameOrNumber, o.flags())
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	case err != nil && somethingElse(nameOrNumber):
		return nil, fmt.Errorf("%w: %w", ErrNotBlockDevice, err)
	case err != nil:
		return nil, err
	}
	d, err := inspect(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

// somethingElse reports whether a name that could not be opened, such as a
// directory or a socket, is known to be no block device.
func somethingElse(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&(os.ModeDevice|os.ModeCharDevice) != os.ModeDevice
}

func (o Options) flags() int {
	// O_NONBLOCK: the name may be of a FIFO, which would wait for a writer.
	flags := os.O_RDWR | unix.O_NONBLOCK
	if o.ReadOnly {
		flags = os.O_RDONLY | unix.O_NONBLOCK
	}
	if o.Exclusive {
		flags |= os.O_EXCL
	}
	if o.Direct {
		flags |= unix.O_DIRECT
	}
	return flags
}

func openFile(nameOrNumber string, flags int) (*os.File, error) {
	if number, err := dm.ParseDevice(nameOrNumber); err == nil {
		return openNumber(number, flags)
	}
	return os.OpenFile(nameOrNumber, flags, 0)
}

// inspect asks the open file, not the name, which may have changed since.
func inspect(f *os.File) (*Device, error) {
	number, err := dm.DeviceOf(f)
	if err != nil {
		return nil, err
	}
	d := &Device{file: f, number: number}
	if d.size, err = size(f); err != nil {
		return nil, err
	}
	// BLKSSZGET and BLKROGET write a C int, which has 32 bits everywhere (block/ioctl.c).
	logical, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		return nil, fmt.Errorf("ask for the block size: %w", err)
	}
	d.logical = int(logical)
	ro, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKROGET)
	if err != nil {
		return nil, fmt.Errorf("ask whether it is read-only: %w", err)
	}
	d.ro = ro != 0
	return d, nil
}

// File returns the open file; Close closes it.
func (d *Device) File() *os.File { return d.file }

// Path returns the name under which the device was opened; after opening by
// number this may be a node that is already gone.
func (d *Device) Path() string { return d.file.Name() }

// Number returns the device's number.
func (d *Device) Number() dm.Device { return d.number }

// Size returns the size in bytes at the time of opening.
func (d *Device) Size() uint64 { return d.size }

// ReadOnly reports whether the device, not the way it was opened, refuses writes.
func (d *Device) ReadOnly() bool { return d.ro }

// LogicalBlockSize returns the smallest unit of I/O in bytes.
func (d *Device) LogicalBlockSize() int { return d.logical }

// Close closes the device and so gives up its lock.
func (d *Device) Close() error { return opError("close", d.Path(), d.file.Close()) }

// udev locks a device, shared, for the moment in which it probes it.
const (
	lockWait  = time.Second
	lockPause = 10 * time.Millisecond
)

// Lock takes the exclusive advisory lock of the device (flock), which udev and
// other formatting programs honour. When somebody holds it for longer than a
// second the error wraps [ErrBusy]. Close releases it.
func (d *Device) Lock() error { return opError("lock", d.Path(), lock(d.file)) }

func lock(f *os.File) error {
	for end := time.Now().Add(lockWait); ; time.Sleep(lockPause) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return err
		case time.Now().After(end):
			return fmt.Errorf("%w: another program has locked it", ErrBusy)
		}
	}
}

package dm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A command's buffer starts with unix.DmIoctl; what follows begins here.
const dataStart = unix.SizeofDmIoctl

// The reply's buffer starts at firstBuffer bytes and doubles to maxBuffer.
const (
	firstBuffer = 16 << 10
	maxBuffer   = 16 << 20
)

// request is one device-mapper command.
type request struct {
	command uint
	name    string // selects the device; or the target, for target versions
	uuid    string
	flags   uint32
	event   uint32
	targets uint32
	data    []byte // after the header
	secret  bool   // data or reply hold what must not stay in memory
}

// reply is what the kernel left in the buffer.
type reply struct {
	header unix.DmIoctl
	data   []byte
}

// run sends q and grows the buffer until the reply fits.
func (c *Control) run(q request) (reply, error) {
	for size := max(firstBuffer, dataStart+len(q.data)); size <= maxBuffer; size *= 2 {
		r, err := c.once(q, size)
		if err != nil || r.header.Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return r, err
		}
	}
	return reply{}, fmt.Errorf("the kernel's answer is longer than %d bytes", maxBuffer)
}

func (c *Control) once(q request, size int) (reply, error) {
	buf := make([]byte, size)
	if q.secret {
		defer clear(buf)
	}
	if err := q.encode(buf); err != nil {
		return reply{}, err
	}
	if err := control(c.file, q.command, buf); err != nil {
		return reply{}, err
	}
	return decode(buf, q.secret)
}

func (q request) encode(buf []byte) error {
	header := unix.DmIoctl{
		Version:      [3]uint32{unix.DM_VERSION_MAJOR, 0, 0},
		Data_size:    uint32(len(buf)),
		Data_start:   dataStart,
		Target_count: q.targets,
		Flags:        q.flags,
		Event_nr:     q.event,
	}
	if q.secret {
		header.Flags |= unix.DM_SECURE_DATA_FLAG
	}
	copy(header.Name[:len(header.Name)-1], q.name)
	copy(header.Uuid[:len(header.Uuid)-1], q.uuid)
	if _, err := binary.Encode(buf, binary.NativeEndian, &header); err != nil {
		return err
	}
	copy(buf[dataStart:], q.data)
	return nil
}

func decode(buf []byte, secret bool) (reply, error) {
	var r reply
	if _, err := binary.Decode(buf, binary.NativeEndian, &r.header); err != nil {
		return reply{}, err
	}
	start, end := r.header.Data_start, r.header.Data_size
	if start < dataStart || start > end || uint64(end) > uint64(len(buf)) {
		// Nothing follows the header in this reply.
		return r, nil
	}
	r.data = buf[start:end]
	if secret {
		r.data = append([]byte(nil), r.data...)
	}
	return r, nil
}

// control makes the system call. A command that a signal interrupted has done
// nothing and is repeated: Go's own scheduler sends such signals.
func control(f *os.File, command uint, buf []byte) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = conn.Control(func(fd uintptr) {
		for errno = unix.EINTR; errno == unix.EINTR; {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(command), uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

var errShort = errors.New("the kernel's answer is cut short")

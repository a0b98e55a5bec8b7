package mkfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

// strictDevice passes on only what a never-wiped device with 4096-byte sectors and O_DIRECT would take: whole aligned
// blocks from aligned memory, inside the device. It remembers which blocks were written, how often, and in which order.
type strictDevice struct {
	next   io.WriterAt // may be nil
	size   uint64
	mu     sync.Mutex
	times  map[uint64]int // by block
	writes []write
}

type write struct{ offset, length uint64 }

func newStrictDevice(next io.WriterAt, size uint64) *strictDevice {
	return &strictDevice{next: next, size: size, times: make(map[uint64]int)}
}

func (d *strictDevice) WriteAt(b []byte, off int64) (int, error) {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	switch {
	case len(b) == 0 || len(b)%mkfs.BlockSize != 0:
		return 0, fmt.Errorf("write of %d bytes at %d: not whole blocks", len(b), off)
	case off < 0 || off%mkfs.BlockSize != 0:
		return 0, fmt.Errorf("write of %d bytes at %d: not at a block", len(b), off)
	case address%mkfs.BlockSize != 0:
		return 0, fmt.Errorf("write of %d bytes at %d: memory not aligned", len(b), off)
	case uint64(off)+uint64(len(b)) > d.size:
		return 0, fmt.Errorf("write of %d bytes at %d: beyond the end", len(b), off)
	}
	d.note(uint64(off), uint64(len(b)))
	if d.next == nil {
		return len(b), nil
	}
	return d.next.WriteAt(b, off)
}

func (d *strictDevice) note(offset, length uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = append(d.writes, write{offset, length})
	for n := offset; n < offset+length; n += mkfs.BlockSize {
		d.times[n/mkfs.BlockSize]++
	}
}

func (d *strictDevice) bytes() (total uint64) {
	for _, w := range d.writes {
		total += w.length
	}
	return total
}

// oneAtATime is for devices of tests that cannot take several writes at once.
type oneAtATime struct {
	io.WriterAt
	mu sync.Mutex
}

func (o *oneAtATime) WriteAt(b []byte, off int64) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.WriterAt.WriteAt(b, off)
}

// failingDevice fails each write of zeros, but not before several are under way.
type failingDevice struct {
	together chan struct{} // closed when they are
	under    atomic.Int32
	returned atomic.Bool // whoever writes has returned
	late     atomic.Bool // a write was under way then
}

const underWay = 4

func (d *failingDevice) WriteAt(b []byte, _ int64) (int, error) {
	if bytes.ContainsFunc(b, func(c rune) bool { return c != 0 }) {
		return len(b), nil
	}
	if d.under.Add(1) == underWay {
		close(d.together)
	}
	select {
	case <-d.together:
	case <-time.After(time.Minute):
		return 0, errors.New("writes do not overlap")
	}
	time.Sleep(10 * time.Millisecond) // for one that does not wait
	if d.returned.Load() {
		d.late.Store(true)
	}
	return 0, unix.EIO
}

package mkfs_test

import (
	"fmt"
	"io"
	"unsafe"

	"github.com/trusted-store/trusted-store/mkfs"
)

// strictDevice passes on only what a never-wiped device with 4096-byte sectors and O_DIRECT would take: whole aligned
// blocks from aligned memory, inside the device. It remembers which blocks were written, how often, and in which order.
type strictDevice struct {
	next   io.WriterAt // may be nil
	size   uint64
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
	d.writes = append(d.writes, write{uint64(off), uint64(len(b))})
	for n := uint64(off); n < uint64(off)+uint64(len(b)); n += mkfs.BlockSize {
		d.times[n/mkfs.BlockSize]++
	}
	if d.next == nil {
		return len(b), nil
	}
	return d.next.WriteAt(b, off)
}

func (d *strictDevice) bytes() (total uint64) {
	for _, w := range d.writes {
		total += w.length
	}
	return total
}

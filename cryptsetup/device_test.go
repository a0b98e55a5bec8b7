package cryptsetup_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const sector = 512

// device is a disk in memory that insists on what O_DIRECT insists on, counts
// its reads, and can lose power.
type device struct {
	t       testing.TB
	durable []byte
	cache   []write // since the last flush, in order
	all     []write // everything, in order
	reads   int
	// powerAt is the number of writes and flushes after which power fails;
	// negative: never.
	powerAt int
}

type write struct {
	at    int64
	bytes []byte
}

var errPower = errors.New("power failed")

func newDevice(t testing.TB, size int) *device {
	return &device{t: t, durable: make([]byte, size), powerAt: -1}
}

func aligned(b []byte) bool {
	return len(b)%4096 == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4096 == 0
}

func (d *device) ReadAt(b []byte, at int64) (int, error) {
	require.True(d.t, aligned(b) && at%4096 == 0, "read of %d bytes at %d from memory that is not aligned", len(b), at)
	d.reads++
	view := d.view()
	n := copy(b, view[min(at, int64(len(view))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// view is what a reader sees while power is on.
func (d *device) view() []byte {
	out := append([]byte(nil), d.durable...)
	for _, w := range d.cache {
		copy(out[w.at:], w.bytes)
	}
	return out
}

func (d *device) step() error {
	if d.powerAt == 0 {
		return errPower
	}
	d.powerAt--
	return nil
}

func (d *device) WriteAt(b []byte, at int64) (int, error) {
	require.True(d.t, aligned(b) && at%4096 == 0, "write of %d bytes at %d from memory that is not aligned", len(b), at)
	require.LessOrEqual(d.t, at+int64(len(b)), int64(len(d.durable)))
	w := write{at, append([]byte(nil), b...)}
	d.cache, d.all = append(d.cache, w), append(d.all, w)
	return len(b), d.step()
}

func (d *device) Sync() error {
	if err := d.step(); err != nil {
		return err
	}
	d.durable, d.cache = d.view(), nil
	return nil
}

// powerCut returns what is left after power failed: of what was not flushed,
// some sectors are written and some are not.
func (d *device) powerCut(r *rand.Rand) *device {
	left := append([]byte(nil), d.durable...)
	for _, w := range d.cache {
		for i := 0; i < len(w.bytes); i += sector {
			if r.IntN(2) == 0 {
				copy(left[w.at+int64(i):], w.bytes[i:i+sector])
			}
		}
	}
	return &device{t: d.t, durable: left, powerAt: -1}
}

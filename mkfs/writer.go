package mkfs

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sync/errgroup"
)

const (
	stageBytes = 256 << 10
	zeroBytes  = 512 << 10

	// shortZeros is the length in blocks up to which zeros are copied between their neighbours, to save a write.
	shortZeros = 16

	// inFlight is how many writes of zeros are on their way at once, so that what each waits for, the device and
	// one CPU's encryption, does not add up.
	inFlight = 4
)

// writer turns blocks, given in ascending order where possible, into long writes of whole blocks from aligned memory.
// Zeros are written while it goes on; wait waits for them. The first error sticks: everything after it is dropped, and
// err holds it, after wait that of zeros too.
type writer struct {
	ctx      context.Context
	dev      io.WriterAt
	progress func(done, total uint64)

	stage []byte // blocks that are not written yet
	first uint64 // number of the first of them
	used  int    // bytes

	zeroRun span // to be written

	behind errgroup.Group // writes of zeros
	failed atomic.Bool

	mu          sync.Mutex // for done and progress
	done, total uint64     // bytes
	err         error
}

func newWriter(ctx context.Context, dev io.WriterAt, total uint64, progress func(done, total uint64)) *writer {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	w := &writer{
		ctx: ctx, dev: dev, progress: progress, total: total,
		stage: aligned(int(min(stageBytes, total))),
	}
	w.behind.SetLimit(inFlight)
	return w
}

// zeroMemory is never written, so it takes no memory: all of it is the kernel's one page of zeros.
var (
	zeroMemory [zeroBytes + BlockSize]byte
	zero       = alignedIn(zeroMemory[:], zeroBytes)
)

// aligned allocates n bytes that begin at a multiple of the block size, as direct I/O wants it. Go does not move
// memory, so they stay there.
func aligned(n int) []byte { return alignedIn(make([]byte, n+BlockSize), n) }

func alignedIn(b []byte, n int) []byte {
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % BlockSize)
	return b[skip : skip+n : skip+n]
}

// block returns zeroed memory for block n, to be filled before the next call on w.
func (w *writer) block(n uint64) []byte {
	if w.zeroRun.count > 0 || w.used == len(w.stage) || w.used > 0 && n != w.next() {
		w.flush()
	}
	if w.used == 0 {
		w.first = n
	}
	b := w.stage[w.used : w.used+BlockSize]
	clear(b)
	w.used += BlockSize
	return b
}

// next is the block that would follow the staged ones.
func (w *writer) next() uint64 { return w.first + uint64(w.used)/BlockSize }

// zeros writes count blocks of zeros. Runs that follow each other, as neighbouring inode tables do, become one.
func (w *writer) zeros(start, count uint64) {
	switch {
	case count == 0:
	case w.zeroRun.count > 0 && w.zeroRun.end() == start:
		w.zeroRun.count += count
	case count <= shortZeros:
		for n := start; n < start+count; n++ {
			w.block(n)
		}
	default:
		w.flush()
		w.zeroRun = span{start, count}
	}
}

// flush writes what is kept back: staged blocks or a run of zeros, never both.
func (w *writer) flush() {
	if w.used > 0 {
		w.err = errOr(w.err, w.write(w.stage[:w.used], w.first))
		w.used = 0
	}
	for run := w.zeroRun; run.count > 0; {
		n := min(run.count, zeroBytes/BlockSize)
		w.writeZeros(run.start, n)
		run.start += n
		run.count -= n
	}
	w.zeroRun = span{}
}

// writeZeros begins to write count blocks, no more than there are in zero.
func (w *writer) writeZeros(start, count uint64) {
	w.behind.Go(func() error { return w.write(zero[:count*BlockSize], start) })
}

// wait flushes, and waits until everything is written.
func (w *writer) wait() {
	w.flush()
	w.err = errOr(w.err, w.behind.Wait())
}

func (w *writer) write(b []byte, block uint64) error {
	if w.failed.Load() {
		return nil
	}
	err := context.Cause(w.ctx)
	if err == nil {
		_, err = w.dev.WriteAt(b, int64(block*BlockSize))
	}
	if err != nil {
		w.failed.Store(true)
		return &OpError{"write", int64(block * BlockSize), len(b), err}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += uint64(len(b))
	w.progress(w.done, w.total)
	return nil
}

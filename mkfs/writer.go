package mkfs

import (
	"context"
	"io"
	"unsafe"
)

const (
	stageBytes = 1 << 20
	zeroBytes  = 512 << 10

	// shortZeros is the length in blocks up to which zeros are copied between their neighbours, to save a write.
	shortZeros = 16
)

// writer turns blocks, given in ascending order where possible, into long writes of whole blocks from aligned memory.
// The first error sticks: everything after it is dropped, and err returns it.
type writer struct {
	ctx      context.Context
	dev      io.WriterAt
	progress func(done, total uint64)

	stage []byte // blocks that are not written yet
	first uint64 // number of the first of them
	used  int    // bytes

	zero    []byte // never changed
	zeroRun span   // to be written from it

	done, total uint64 // bytes
	err         error
}

func newWriter(ctx context.Context, dev io.WriterAt, total uint64, progress func(done, total uint64)) *writer {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	zeros := int(min(zeroBytes, total))
	return &writer{
		ctx: ctx, dev: dev, progress: progress, total: total,
		stage: aligned(int(min(stageBytes, total))), zero: aligned(zeros),
	}
}

// aligned allocates n bytes that begin at a multiple of the block size, as direct I/O wants it. Go does not move heap
// memory, so they stay there.
func aligned(n int) []byte {
	b := make([]byte, n+BlockSize)
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
		w.write(w.stage[:w.used], w.first)
		w.used = 0
	}
	for run := w.zeroRun; run.count > 0 && w.err == nil; {
		n := min(run.count, uint64(len(w.zero))/BlockSize)
		w.write(w.zero[:n*BlockSize], run.start)
		run.start += n
		run.count -= n
	}
	w.zeroRun = span{}
}

func (w *writer) write(b []byte, block uint64) {
	if w.err != nil {
		return
	}
	err := context.Cause(w.ctx)
	if err == nil {
		_, err = w.dev.WriteAt(b, int64(block*BlockSize))
	}
	if err != nil {
		w.err = &OpError{"write", int64(block * BlockSize), len(b), err}
		return
	}
	w.done += uint64(len(b))
	w.progress(w.done, w.total)
}

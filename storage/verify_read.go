package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	verifyRead     = 1 << 20 // bytes at once
	maxVerifyReads = 8       // at the same time
	maxUnreadable  = 1 << 16 // blocks, after which it is enough
)

func (v *verifier) verify(ctx context.Context) error {
	runs, usage, err := v.blocks(ctx)
	if err != nil {
		return err
	}
	r := reading{verifier: v, total: v.size}
	if usage != nil {
		r.total = usage.Used() * blockSize
		r.bad = usage.Unreadable
		v.found.Complete = len(usage.Unreadable) == 0
	}
	if err := r.all(ctx, runs); err != nil {
		return err
	}
	v.found.Bytes = r.done
	return v.confirm(ctx, r.bad)
}

// reading reads runs of blocks with several reads at once.
type reading struct {
	*verifier
	mu          sync.Mutex
	done, total uint64   // bytes
	bad         []uint64 // blocks that could not be read, in any order
}

var errEnough = errors.New("enough")

// part is so much of a run as is read at once.
type part struct{ first, count uint64 }

func (r *reading) all(ctx context.Context, runs iter.Seq2[uint64, uint64]) error {
	group, ctx := errgroup.WithContext(ctx)
	parts := make(chan part)
	for range min(max(2, runtime.NumCPU()), maxVerifyReads) {
		group.Go(func() error {
			buffer := alignedBlocks(verifyRead)
			for p := range parts {
				if err := r.part(ctx, buffer[:p.count*blockSize], p.first); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(parts)
		return split(ctx, runs, parts)
	})
	err := group.Wait()
	if errors.Is(err, errEnough) {
		r.found.Complete = false
		return nil
	}
	return err
}

func split(ctx context.Context, runs iter.Seq2[uint64, uint64], parts chan<- part) error {
	for first, count := range runs {
		for end := first + count; first < end; first += verifyRead / blockSize {
			select {
			case parts <- part{first, min(end-first, verifyRead/blockSize)}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// part reads a part at once, and block by block when that fails.
func (r *reading) part(ctx context.Context, buffer []byte, first uint64) error {
	var bad []uint64
	if _, err := r.direct.ReadAt(buffer, int64(first*blockSize)); err != nil {
		if bad, err = r.narrow(ctx, buffer, first); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad = append(r.bad, bad...)
	r.done += uint64(len(buffer))
	r.opts.Progress(Progress{Step: StepVerify, Done: r.done, Total: r.total})
	if len(r.bad) >= maxUnreadable {
		return errEnough
	}
	return nil
}

// narrow finds the blocks of a part that cannot be read.
func (r *reading) narrow(ctx context.Context, buffer []byte, first uint64) (bad []uint64, err error) {
	for i := range uint64(len(buffer)) / blockSize {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch cause, err := r.block(buffer[:blockSize], first+i); {
		case err != nil:
			return nil, err
		case cause != "":
			bad = append(bad, first+i)
		}
	}
	return bad, nil
}

// block reads one block, and says why it cannot be read; "" when it can.
func (v *verifier) block(buffer []byte, block uint64) (UnreadableCause, error) {
	_, err := v.direct.ReadAt(buffer, int64(block*blockSize))
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, unix.EILSEQ):
		return Unauthentic, nil
	}
	for _, failed := range []unix.Errno{unix.EIO, unix.ENODATA, unix.EREMOTEIO, unix.ENOLINK, unix.ETIMEDOUT} {
		if errors.Is(err, failed) {
			return DeviceFailed, nil
		}
	}
	return "", fmt.Errorf("block %d: %w", block, err)
}

// alignedBlocks returns memory as direct I/O wants it: on the heap, which does
// not move.
func alignedBlocks(n int) []byte {
	b := make([]byte, n+blockSize)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % blockSize)
	return b[skip : skip+n : skip+n]
}

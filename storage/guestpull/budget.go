package guestpull

import (
	"fmt"
	"sync/atomic"

	"github.com/dustin/go-humanize"
)

// What the layers of one image may take, beside the bytes that it may unpack to,
// and what is free of any price in it.
const (
	blockBytes = 4096 // of the store's filesystem
	// freeEntries and freeHeaders let small images have odd ones.
	freeEntries, entryBytes = 65_536, 1 << 10
	freeHeaders             = 16 << 20
	// freeImplied and freeSteps are for names through directories without entries
	// and through symbolic links. They are paid for with bytes of the archive.
	freeImplied, impliedBytes = 4096, 512
	freeSteps, stepBytes      = 32_768, 32
	// maxSparse is what sparse files may hold, holes included: a hole costs no
	// byte of the archive, and time.
	maxSparse = 4 << 30
	// maxNames is the memory for names that have to be kept until all layers below
	// are there.
	maxNames = 4 << 20
)

// budget is how much of one thing the layers of an image may take together.
// Nothing is given back: what a layer removes again was work, too.
type budget struct {
	limit uint64
	used  atomic.Uint64
	over  func(found, limit uint64) error
}

func (b *budget) take(n int64) error {
	if n < 0 {
		return b.over(uint64(n), b.limit)
	}
	if found := b.used.Add(uint64(n)); found > b.limit {
		return b.over(found, b.limit)
	}
	return nil
}

// budgets are all that an image may take.
type budgets struct {
	compressed budget // bytes of layers as the registry has them
	written    budget // bytes of the store's filesystem
	entries    budget // directories without an entry included
	headers    budget // bytes of archives that are not contents of files
	sparse     budget // bytes of sparse files
	names      budget // bytes of memory

	archives       atomic.Int64 // bytes read so far
	implied, steps atomic.Int64
}

// newBudgets are those of an image that may take room bytes of the store; hint
// says what to do when it is not enough.
func newBudgets(room uint64, hint string) *budgets {
	room = min(room, 1<<60)
	b := &budgets{}
	noRoom := func(what string) func(found, limit uint64) error {
		return func(found, limit uint64) error {
			return refuse(ErrNoRoom, hint, "the image unpacks to more than the %s%s that it may take: %s or more", humanize.IBytes(limit), what, humanize.IBytes(found))
		}
	}
	b.written = budget{limit: room, over: noRoom("")}
	b.headers = budget{limit: freeHeaders + room/2, over: noRoom(" of headers")}
	b.entries = budget{limit: freeEntries + room/entryBytes, over: func(found, limit uint64) error {
		return refuse(ErrNoRoom, hint, "the image unpacks to more than the %d files and directories that it may have", limit)
	}}
	b.compressed = budget{limit: freeHeaders + 2*room, over: func(found, limit uint64) error {
		return refuse(ErrNoRoom, hint, "its compressed layers have more than the %s that may be read: %s or more", humanize.IBytes(limit), humanize.IBytes(found))
	}}
	b.sparse = budget{limit: maxSparse, over: func(found, limit uint64) error {
		return refuse(ErrRejected, "", "the image has sparse files of more than %s together: %s or more", humanize.IBytes(limit), humanize.IBytes(found))
	}}
	b.names = budget{limit: maxNames, over: func(_, limit uint64) error {
		return refuse(ErrRejected, "", "the image has names in so many directories that it has no entries for that they take more than %s of memory", humanize.IBytes(limit))
	}}
	return b
}

// makesImplied takes a directory that no entry is for.
func (b *budgets) makesImplied() error {
	allowed := freeImplied + b.archives.Load()/impliedBytes
	if found := b.implied.Add(1); found > allowed {
		return refuse(ErrRejected, "", "the image has names in more than the %d directories without entries that it may have for its size", allowed)
	}
	return b.takeEntry(blockBytes)
}

// walks takes one component of a name that is followed by hand.
func (b *budgets) walks() error {
	allowed := freeSteps + b.archives.Load()/stepBytes
	if found := b.steps.Add(1); found > allowed {
		return refuse(ErrRejected, "", "the image has names that lead through more than the %d directories and symbolic links that they may for its size", allowed)
	}
	return nil
}

// takeEntry takes an entry of so many bytes.
func (b *budgets) takeEntry(bytes int64) error {
	if err := b.entries.take(1); err != nil {
		return err
	}
	return b.written.take(bytes)
}

// inBlocks is what bytes take on the store; at most what int64 holds.
func inBlocks(bytes int64) int64 {
	const most = 1 << 62
	if bytes > most {
		return most
	}
	return (bytes + blockBytes - 1) / blockBytes * blockBytes
}

// noProgress is the refusal of a layer that costs reading and comes to nothing.
func noProgress(read, plain int64) error {
	return refuse(ErrRejected, "", "%s of it, compressed, unpack to no more than %s: compressed data that unpacks to nothing", humanize.IBytes(uint64(read)), fmt.Sprintf("%d bytes", plain))
}

package storage

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/mkfs"
)

// IntegrityEvent is what the kernel logged of reads of one live store that failed
// because a block could not be authenticated.
type IntegrityEvent struct {
	Name string
	UUID string
	// Failures is the number of reads that failed. Of more than 10 in 5 seconds the
	// kernel logs no more, whichever stores they are of.
	Failures int
	// Unreadable are the blocks, ascending, and what the filesystem has there, as far
	// as it says so within 30 seconds.
	Unreadable []Unreadable
}

// WatchIntegrity reports reads that fail from now on because what the device returned
// could not be authenticated, of every live store, until ctx ends; then it returns nil.
// While nothing fails it only waits for the kernel's log. report is called by one
// goroutine, and may take its time.
//
// What a block belongs to is asked once, of at most 4096 blocks of a store: see
// [Verify], which also finds what nobody has read yet.
//
// It needs root, and /dev/kmsg.
func WatchIntegrity(ctx context.Context, report func(IntegrityEvent)) error {
	f, err := os.OpenFile(kernelLog, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return failure("watch", "", "", err)
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return failure("watch", "", "", err)
	}
	defer context.AfterFunc(ctx, func() { f.Close() })() // which ends the read under way
	reads, ended := make(chan failedRead, 64), make(chan error, 1)
	go func() {
		ended <- followLog(f, reads)
		close(reads)
	}()
	w := integrityWatch{report: report, known: map[uuid.UUID]map[uint64]mkfs.Owner{}}
	for first := range reads {
		w.tell(ctx, atHand(first, reads))
	}
	err = <-ended
	if ctx.Err() != nil {
		return nil
	}
	return failure("watch", "", "", err)
}

// atHand returns what can be had at once.
func atHand(first failedRead, more <-chan failedRead) []failedRead {
	list := []failedRead{first}
	for {
		select {
		case next, there := <-more:
			if !there {
				return list
			}
			list = append(list, next)
		default:
			return list
		}
	}
}

// followLog sends each read that the kernel logs as failed. A read of its log returns
// one message; EPIPE says that messages were overwritten before they were read.
func followLog(f *os.File, to chan<- failedRead) error {
	record := make([]byte, longestRecord)
	for {
		n, err := f.Read(record)
		switch {
		case errors.Is(err, unix.EPIPE):
			continue
		case err != nil:
			return err
		}
		if failed, ok := parseFailedRead(record[:n]); ok {
			to <- failed
		}
	}
}

const (
	// longestRecord is of one message of /dev/kmsg with all that it says of it.
	longestRecord = 8192
	// maxKnown bounds the blocks of one store that are remembered.
	maxKnown = 4096
	// ownersTime is how long a filesystem may take to say what blocks belong to.
	ownersTime = 30 * time.Second
)

// integrityWatch makes events of failed reads.
type integrityWatch struct {
	report func(IntegrityEvent)
	known  map[uuid.UUID]map[uint64]mkfs.Owner // blocks that were asked for
}

// tell reports failed reads, store by store. One that was closed since has no events.
func (w *integrityWatch) tell(ctx context.Context, reads []failedRead) {
	list, err := liveStores()
	if err != nil {
		return // device-mapper cannot be asked, and nothing else can say whose they are
	}
	live := map[uuid.UUID]bool{}
	for _, l := range list {
		live[l.crypt.volume] = true
		if blocks := failedBlocks(reads, l.kernelNames()); len(blocks) > 0 {
			w.report(w.event(ctx, l, blocks))
		}
	}
	for id := range w.known {
		if !live[id] {
			delete(w.known, id)
		}
	}
}

// liveStores returns those that have both layers.
func liveStores() (list []*live, err error) {
	err = withControl(func(control *dm.Control) error {
		names, err := storeNames(control)
		if err != nil {
			return err
		}
		for _, name := range names {
			if l, err := readLive(control, name); err == nil && l.crypt != nil && l.integrity != nil {
				list = append(list, l)
			}
		}
		return nil
	})
	return list, err
}

// failedBlocks returns the blocks of the reads of one store, as often as they failed.
func failedBlocks(reads []failedRead, layers []string) (blocks []uint64) {
	for _, r := range reads {
		if slices.Contains(layers, r.layer) {
			blocks = append(blocks, r.sector*sectorSize/blockSize)
		}
	}
	slices.Sort(blocks)
	return blocks
}

func (w *integrityWatch) event(ctx context.Context, l *live, blocks []uint64) IntegrityEvent {
	e := IntegrityEvent{Name: l.name, UUID: l.crypt.volume.String(), Failures: len(blocks)}
	blocks = slices.Compact(blocks)
	owners := w.owners(ctx, l, blocks)
	var found Verification
	for _, block := range blocks {
		found.add(block, Unauthentic, owners[block])
	}
	e.Unreadable = found.Unreadable
	return e
}

// owners asks the filesystem for blocks of which it was not asked before: to answer it
// reads its directories, and where one of them fails that is logged, and told here.
func (w *integrityWatch) owners(ctx context.Context, l *live, blocks []uint64) map[uint64]mkfs.Owner {
	known := w.known[l.crypt.volume]
	if known == nil {
		known = map[uint64]mkfs.Owner{}
		w.known[l.crypt.volume] = known
	}
	var unknown []uint64
	for _, block := range blocks {
		if _, is := known[block]; !is && len(known) < maxKnown {
			unknown = append(unknown, block)
			known[block] = mkfs.Owner{}
		}
	}
	if len(unknown) == 0 {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, ownersTime)
	defer cancel()
	for block, owner := range ownersOf(ctx, l, unknown) {
		known[block] = owner
	}
	return known
}

// ownersOf returns those that the filesystem tells of.
func ownersOf(ctx context.Context, l *live, blocks []uint64) map[uint64]mkfs.Owner {
	v, err := newVerifier(l, VerifyOptions{})
	if err != nil {
		return nil
	}
	defer v.close()
	owners, err := v.owners(ctx, blocks)
	if err != nil {
		return nil // what cannot be told has no names
	}
	return owners
}

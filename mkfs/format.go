package mkfs

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Format writes a filesystem as planned by Plan(size, o) to dev, and returns its layout with the UUID that it got.
//
// Nothing is read. Each block that is in use afterwards is written exactly once, in whole blocks of 4096 bytes at
// multiples of 4096 from memory aligned to 4096, so dev may be open with O_DIRECT; no other block is written. The
// block with the superblock comes last: a Format that failed or was cancelled, through ctx, between two writes, leaves
// nothing that mounts. Up to four writes are under way at once. Format does not sync: call Sync on the file before the device is used in another way.
//
// size is that of the device in bytes. Errors are those of Plan before the first write, and *OpError from then on.
func Format(ctx context.Context, dev io.WriterAt, size uint64, o Options) (*Layout, error) {
	l, err := Plan(size, o)
	if err != nil {
		return nil, err
	}
	now, err := coarseTime()
	if err != nil {
		return nil, err
	}
	id := identity{uuid: l.UUID, now: now.Unix()}
	if id.uuid == uuid.Nil {
		if id.uuid, err = uuid.NewRandom(); err != nil {
			return nil, fmt.Errorf("mkfs: random UUID: %w", err)
		}
		l.UUID = id.uuid
	}
	if _, err := rand.Read(id.hashSeed[:]); err != nil {
		return nil, fmt.Errorf("mkfs: random hash seed: %w", err)
	}
	f := formatter{Layout: l, writer: newWriter(ctx, dev, l.MetadataBytes, o.Progress)}
	if err := f.prepare(id, timestampOf(now)); err != nil {
		return nil, err
	}
	return l, f.run()
}

// coarseTime is the clock of time(2), with which the kernel and e2fsck compare what they find; time.Now is up to a tick
// ahead of it, and a filesystem must not come from the future.
func coarseTime() (time.Time, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
		return time.Time{}, fmt.Errorf("mkfs: read the clock: %w", err)
	}
	return time.Unix(now.Unix()), nil
}

// formatter writes one layout.
type formatter struct {
	*Layout
	*writer

	super  superblock
	seed   uint16 // of the descriptors' checksums
	inodes map[uint64]inode

	table flexGroup // the one whose descriptors are being encoded
}

// prepare makes what needs the whole of the first flex group: the inodes, and the superblock with its copy of the
// journal's.
func (f *formatter) prepare(id identity, now timestamp) error {
	if err := f.flex(0, &f.table); err != nil {
		return err
	}
	f.inodes = f.table.inodes(f.Layout, now)
	f.super = f.superblock(id, f.inodes[journalInode])
	f.seed = descriptorSeed(id.uuid)
	return nil
}

// run writes all flex groups in ascending order, and block 0 when they are written.
func (f *formatter) run() error {
	var flex flexGroup
	for first := uint64(0); first < f.Groups && f.err == nil; first += groupsPerFlex {
		if f.err = f.flex(first, &flex); f.err != nil {
			break
		}
		for _, i := range flex.items {
			f.item(&flex, i)
		}
	}
	if f.wait(); f.err != nil {
		return f.err
	}
	f.super.put(f.block(0), 0)
	f.flush()
	return f.err
}

// item writes one object.
func (f *formatter) item(flex *flexGroup, i item) {
	switch i.kind {
	case kindBase:
		f.base(i.group)
	case kindBlockBitmap:
		flex.putBlockBitmap(f.block(i.start), f.Layout, i.group)
	case kindInodeBitmap:
		putInodeBitmap(f.block(i.start), f.Layout, i.group)
	case kindInodeTable:
		f.inodeTable(i)
	case kindRoot:
		putRoot(f.block(i.start))
	case kindLostFound:
		for n := range i.count {
			putLostFound(f.block(i.start+n), n)
		}
	case kindResize:
		f.putDoubleIndirect(f.block(i.start))
	case kindJournal:
		f.journal(i)
	}
}

// base writes the copies at the start of a group. Group 0's superblock is left for the end, and only its reserved
// blocks hold anything.
func (f *formatter) base(group uint64) {
	start := group * blocksPerGroup
	if group != 0 {
		f.super.put(f.block(start), group)
	}
	f.descriptors(start + 1)
	reserved := start + 1 + f.DescriptorBlocks
	if group != 0 {
		f.zeros(reserved, f.ReservedDescriptorBlocks)
		return
	}
	for n := range f.ReservedDescriptorBlocks {
		f.putReserved(f.block(reserved+n), n)
	}
}

// descriptors writes one copy of the group descriptor table, from block start on.
func (f *formatter) descriptors(start uint64) {
	for n := range f.DescriptorBlocks {
		if f.err != nil {
			return
		}
		b := f.block(start + n)
		first := n * f.descriptorsPerBlock()
		for group := first; group < min(first+f.descriptorsPerBlock(), f.Groups); group++ {
			f.descriptor(b[(group-first)*f.descriptorSize():][:f.descriptorSize()], group)
		}
	}
}

// descriptor encodes the descriptor of one group; groups come in ascending order.
func (f *formatter) descriptor(b []byte, group uint64) {
	if first := group &^ (groupsPerFlex - 1); first != f.table.first {
		if f.err = errOr(f.err, f.flex(first, &f.table)); f.err != nil {
			return
		}
	}
	d := f.table.descriptor(f.Layout, group)
	d.put(b, group, f.seed)
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// inodeTable writes the inode table of a group: the first inodes in group 0's, and zeros.
func (f *formatter) inodeTable(i item) {
	used := uint64(0)
	if i.group == 0 {
		used = ceilDiv(usedInodes, uint64(BlockSize/f.InodeSize))
	}
	for n := range used {
		f.inodeBlock(f.block(i.start+n), n)
	}
	f.zeros(i.start+used, i.count-used)
}

// inodeBlock encodes the inodes of block n of the first inode table.
func (f *formatter) inodeBlock(b []byte, n uint64) {
	perBlock := uint64(BlockSize / f.InodeSize)
	for i := range perBlock {
		if node, ok := f.inodes[n*perBlock+i+1]; ok {
			node.put(b[i*uint64(f.InodeSize):][:f.InodeSize])
		}
	}
}

// journal writes one run of the journal's blocks; the first run begins with the journal's superblock.
func (f *formatter) journal(i item) {
	if i.group == 0 {
		putJournalSuperblock(f.block(i.start), f.JournalBlocks, f.super.UUID)
		i.start++
		i.count--
	}
	f.zeros(i.start, i.count)
}

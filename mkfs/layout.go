package mkfs

import (
	"errors"

	"github.com/google/uuid"
)

const (
	// BlockSize is the size of a filesystem block in bytes, always. Smaller blocks do not mount on a device with
	// 4096-byte sectors.
	BlockSize = 4096

	// MinSize is the smallest filesystem in bytes: with it there are five free inodes and 212 KiB free. A journal,
	// or a descriptor reserve for GrowTo, needs more.
	MinSize = 256 << 10

	// MaxSize is the largest filesystem in bytes that Format writes. More can be reached by growing.
	MaxSize = 64 << 40

	blocksPerGroup    = 8 * BlockSize // as many as the bits of a one-block bitmap
	groupBytes        = blocksPerGroup * BlockSize
	groupsPerFlex     = 1 << logGroupsPerFlex
	logGroupsPerFlex  = 4
	maxInodesPerGroup = 8 * BlockSize
	maxInodes         = 1<<32 - 1
	maxGrowTo         = 1 << 60

	// spareBlocks is what a group must offer beyond its own metadata to be worth having.
	spareBlocks = 50
)

// Layout is where everything of one filesystem goes: the result of Plan, and a description of what Format writes.
// All of it follows from a size and Options; it holds no reference to a device.
type Layout struct {
	UUID  uuid.UUID // zero from Plan when Format is to choose it
	Label string

	Blocks         uint64 // filesystem size in blocks; may be less than asked for, see Plan
	Groups         uint64 // block groups of up to 32768 blocks (128 MiB)
	Inodes         uint64 // in all, the 11 in use included
	InodesPerGroup uint64
	InodeSize      int // bytes

	DescriptorBlocks         uint64 // blocks of the group descriptor table; 64 descriptors in each
	ReservedDescriptorBlocks uint64 // kept behind each copy of that table for growing
	InodeTableBlocks         uint64 // blocks of one group's inode table
	JournalBlocks            uint64 // 0: no journal

	FreeBlocks     uint64
	FreeInodes     uint64
	OverheadBlocks uint64 // what statfs(2), and so df(1), subtracts from Blocks
	MetadataBytes  uint64 // what Format writes: exactly the blocks that are in use afterwards

	narrow bool // group descriptors of 32 bytes, without the 64bit feature
}

// Size is the filesystem's size in bytes.
func (l *Layout) Size() uint64 { return l.Blocks * BlockSize }

// Capacity is the filesystem's size in bytes as statfs(2) and df(1) show it: without superblocks, descriptors,
// bitmaps, inode tables and journal.
func (l *Layout) Capacity() uint64 { return (l.Blocks - l.OverheadBlocks) * BlockSize }

// Plan computes the layout of a filesystem on a device of size bytes. It is pure: no device is touched.
//
// A last block group that could not hold its own metadata and 200 KiB is left out, so Layout.Blocks can be up to some
// MiB less than asked for. Errors are ErrTooSmall, ErrTooLarge and ErrBadOption.
func Plan(size uint64, o Options) (*Layout, error) {
	o, err := o.withDefaults(size)
	if err != nil {
		return nil, err
	}
	perGroup, err := o.inodesPerGroup()
	if err != nil {
		return nil, err
	}
	if least := smallest(o); o.Size < least {
		return nil, &SizeError{o.Size, least, ErrTooSmall}
	}
	l := &Layout{UUID: o.UUID, Label: o.Label, InodeSize: o.InodeSize, InodesPerGroup: perGroup}
	l.InodeTableBlocks = perGroup * uint64(o.InodeSize) / BlockSize
	if o.Journal {
		l.JournalBlocks = journalBlocks(o.Size, o.GrowTo)
	}
	l.setBlocks(o.Size/BlockSize, o.GrowTo)
	return l, l.place(o.GrowTo)
}

// setBlocks fixes the number of blocks and what follows from it, leaving out a last group that is too small.
func (l *Layout) setBlocks(blocks, growTo uint64) {
	l.Blocks = blocks
	l.Groups = ceilDiv(blocks, blocksPerGroup)
	l.narrow = isNarrow(blocks, growTo)
	l.DescriptorBlocks = ceilDiv(l.Groups, l.descriptorsPerBlock())
	l.ReservedDescriptorBlocks = reservedDescriptorBlocks(l.Blocks, l.DescriptorBlocks, growTo)
	l.Inodes = l.Groups * l.InodesPerGroup
	rest := blocks % blocksPerGroup
	last := l.Groups - 1
	if last > 0 && rest != 0 && rest < 2+l.InodeTableBlocks+l.baseBlocks(last)+spareBlocks {
		l.setBlocks(blocks-rest, growTo)
	}
}

// errNoRoom says that the metadata of a flex group does not fit into it.
var errNoRoom = errors.New("mkfs: metadata does not fit its flex group")

// place puts everything in its place once, to count it. When the last groups are too short for their share of the
// metadata, the last one is left out.
func (l *Layout) place(growTo uint64) error {
	for {
		err := l.count()
		if err == nil || !errors.Is(err, errNoRoom) || l.Groups == 1 {
			return err
		}
		l.setBlocks((l.Groups-1)*blocksPerGroup, growTo)
	}
}

func (l *Layout) count() error {
	var flex flexGroup
	l.FreeBlocks = 0
	for first := uint64(0); first < l.Groups; first += groupsPerFlex {
		if err := l.flex(first, &flex); err != nil {
			return err
		}
		for _, free := range flex.free[:flex.groups] {
			l.FreeBlocks += free
		}
	}
	used := l.Blocks - l.FreeBlocks
	l.FreeInodes = l.Inodes - usedInodes
	l.OverheadBlocks = used - rootBlocks - lostFoundBlocks - l.resizeBlocks()
	l.MetadataBytes = used * BlockSize
	return nil
}

// baseBlocks is the number of blocks at the start of a group that hold copies: superblock, descriptors, reserve.
func (l *Layout) baseBlocks(group uint64) uint64 {
	if !hasSuper(group) {
		return 0
	}
	return 1 + l.DescriptorBlocks + l.ReservedDescriptorBlocks
}

// groupBlocks is the number of blocks in a group; only the last can have fewer than 32768.
func (l *Layout) groupBlocks(group uint64) uint64 {
	return min(blocksPerGroup, l.Blocks-group*blocksPerGroup)
}

// smallest is the least size in bytes that Plan accepts with o. The number of inodes, and so the need, can itself
// grow with the size when GrowTo is the size; a few rounds settle that.
func smallest(o Options) uint64 {
	blocks := uint64(MinSize / BlockSize)
	seed := o.GrowTo > o.Size
	for {
		if !seed {
			o.GrowTo = blocks * BlockSize
		}
		o.Size = blocks * BlockSize
		need := singleGroupNeed(o)
		if need <= blocks {
			return o.Size
		}
		blocks = need
	}
}

// singleGroupNeed is the number of blocks that a filesystem of one group must have at least.
func singleGroupNeed(o Options) uint64 {
	perGroup, err := o.inodesPerGroup()
	if err != nil {
		return 0
	}
	need := 1 + 1 + reservedDescriptorBlocks(1, 1, o.GrowTo) + 2 + perGroup*uint64(o.InodeSize)/BlockSize
	need += rootBlocks + lostFoundBlocks + 1 + spareBlocks
	if o.Journal {
		need += minJournalBlocks
	}
	return need
}

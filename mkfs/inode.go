package mkfs

import (
	"encoding/binary"
	"time"
)

// The inodes with a meaning of their own (Documentation/filesystems/ext4/special_inodes.rst). 1 and 3 to 10 are
// reserved, and zero but for these; 11 is the first for files, and lost+found's.
const (
	rootInode      = 2
	resizeInode    = 7
	journalInode   = 8
	lostFoundInode = 11
	firstInode     = 11
	usedInodes     = 11
	usedDirs       = 2
)

const (
	modeType      = 0xF000
	modeRegular   = 0x8000
	modeSymlink   = 0xA000
	modeDirectory = 0x4000

	flagExtents = 0x80000

	doubleIndirectSlot = 13 // of the 15 block numbers in an inode without extents
	extraInodeSize     = 32 // bytes used behind the first 128
)

// timestamp is a point in time, split as an inode stores it.
type timestamp struct {
	seconds uint32 // low 32 bits of the Unix time
	extra   uint32 // nanoseconds<<2 | the Unix time's next bits, which take 32-bit seconds from 2038 to 2446
}

func timestampOf(t time.Time) timestamp {
	epoch := uint32((t.Unix() - int64(int32(t.Unix()))) >> 32 & 3)
	return timestamp{uint32(t.Unix()), uint32(t.Nanosecond())<<2 | epoch}
}

// inode holds the fields of struct ext4_inode that a new filesystem sets.
type inode struct {
	mode   uint16
	links  uint16
	size   uint64 // bytes
	blocks uint64 // filesystem blocks
	flags  uint32
	block  [60]byte
	times  timestamp
}

// put encodes n into b, whose length is the inode size (Documentation/filesystems/ext4/inodes.rst). All four times
// are the same.
func (n *inode) put(b []byte) {
	le := binary.LittleEndian
	sectors := n.blocks * (BlockSize / 512)
	le.PutUint16(b[0x00:], n.mode)
	le.PutUint32(b[0x04:], uint32(n.size))
	le.PutUint32(b[0x08:], n.times.seconds) // accessed
	le.PutUint32(b[0x0C:], n.times.seconds) // inode changed
	le.PutUint32(b[0x10:], n.times.seconds) // data changed
	le.PutUint16(b[0x1A:], n.links)
	le.PutUint32(b[0x1C:], uint32(sectors))
	le.PutUint32(b[0x20:], n.flags)
	copy(b[0x28:0x64], n.block[:])
	le.PutUint32(b[0x6C:], uint32(n.size>>32))
	le.PutUint16(b[0x74:], uint16(sectors>>32))
	if len(b) == 128 {
		return
	}
	le.PutUint16(b[0x80:], extraInodeSize)
	le.PutUint32(b[0x84:], n.times.extra)   // inode changed
	le.PutUint32(b[0x88:], n.times.extra)   // data changed
	le.PutUint32(b[0x8C:], n.times.extra)   // accessed
	le.PutUint32(b[0x90:], n.times.seconds) // created
	le.PutUint32(b[0x94:], n.times.extra)
}

// extentInode is an inode whose blocks are spans.
func extentInode(mode, links uint16, now timestamp, spans ...span) inode {
	n := inode{mode: mode, links: links, flags: flagExtents, times: now}
	for _, s := range spans {
		n.blocks += s.count
	}
	n.size = n.blocks * BlockSize
	putExtents(&n.block, spans...)
	return n
}

// inodes are those of a new filesystem, by number.
func (f *flexGroup) inodes(l *Layout, now timestamp) map[uint64]inode {
	inodes := make(map[uint64]inode, 4)
	for _, i := range f.items {
		switch i.kind {
		case kindRoot:
			inodes[rootInode] = extentInode(modeDirectory|0o755, 3, now, i.span)
		case kindLostFound:
			inodes[lostFoundInode] = extentInode(modeDirectory|0o700, 2, now, i.span)
		case kindResize:
			inodes[resizeInode] = l.resizeInode(i.start, now)
		}
	}
	if l.JournalBlocks > 0 {
		inodes[journalInode] = extentInode(modeRegular|0o600, 1, now, f.journal...)
	}
	return inodes
}

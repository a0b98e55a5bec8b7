package mkfs

import (
	"encoding/binary"

	"github.com/google/uuid"
)

const (
	descriptorSize      = 64 // with the 64bit feature
	descriptorsPerBlock = BlockSize / descriptorSize
	narrowSize          = 32 // without it: no high halves

	// flagInodeZeroed says that the group's inode table is written, so that the kernel never starts a thread to do
	// that. The flags BLOCK_UNINIT and INODE_UNINIT are not used: with them the kernel makes up the bitmap in memory
	// and the block on the device stays unwritten until the group is first used. That is sound, but then whether a
	// block may be read hangs on a flag in another block. Bitmaps are 8 KiB for 128 MiB and lie together, so all of
	// them are written, and one that is evicted under memory pressure can always be read back.
	flagInodeZeroed = 0x4
)

// descriptor is one group's entry in the group descriptor table (struct ext4_group_desc).
type descriptor struct {
	blockBitmap, inodeBitmap, inodeTable      uint64 // block numbers
	freeBlocks, freeInodes, usedDirs, itUnset uint32 // itUnset: inodes at the table's end never used so far
}

// descriptorSeed is the part of a descriptor's checksum that is the same for all: it begins with the UUID.
func descriptorSeed(id uuid.UUID) uint16 { return crc16(0xFFFF, id[:]) }

// put encodes the descriptor of group into b (64 bytes, or 32): low halves first, the high halves from 0x20 on. By hand, and
// not through encoding/binary's reflection, for there are millions at the largest sizes.
func (d *descriptor) put(b []byte, group uint64, seed uint16) {
	le := binary.LittleEndian
	le.PutUint32(b[0x00:], uint32(d.blockBitmap))
	le.PutUint32(b[0x04:], uint32(d.inodeBitmap))
	le.PutUint32(b[0x08:], uint32(d.inodeTable))
	le.PutUint16(b[0x0C:], uint16(d.freeBlocks))
	le.PutUint16(b[0x0E:], uint16(d.freeInodes))
	le.PutUint16(b[0x10:], uint16(d.usedDirs))
	le.PutUint16(b[0x12:], flagInodeZeroed)
	le.PutUint16(b[0x1C:], uint16(d.itUnset))
	if len(b) > narrowSize {
		le.PutUint32(b[0x20:], uint32(d.blockBitmap>>32))
		le.PutUint32(b[0x24:], uint32(d.inodeBitmap>>32))
		le.PutUint32(b[0x28:], uint32(d.inodeTable>>32))
	}
	le.PutUint16(b[0x1E:], descriptorChecksum(b, group, seed))
}

// descriptorChecksum is crc16 over UUID, group number and the descriptor without its checksum field (gdt_csum;
// fs/ext4/super.c, ext4_group_desc_csum).
func descriptorChecksum(b []byte, group uint64, seed uint16) uint16 {
	var number [4]byte
	binary.LittleEndian.PutUint32(number[:], uint32(group))
	sum := crc16(seed, number[:])
	sum = crc16(sum, b[:0x1E])
	return crc16(sum, b[0x20:])
}

// descriptor describes one group of f.
func (f *flexGroup) descriptor(l *Layout, group uint64) descriptor {
	i := group - f.first
	d := descriptor{
		blockBitmap: f.blockBitmaps[i],
		inodeBitmap: f.inodeBitmaps[i],
		inodeTable:  f.inodeTables[i],
		freeBlocks:  uint32(f.free[i]),
		freeInodes:  uint32(l.InodesPerGroup),
	}
	if group == 0 {
		d.freeInodes -= usedInodes
		d.usedDirs = usedDirs
	}
	d.itUnset = d.freeInodes
	return d
}

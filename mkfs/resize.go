package mkfs

import "encoding/binary"

const (
	maxReserved = BlockSize / 4 // the kernel's limit: one 32-bit entry each in the double-indirect block
	max32       = 1 << 32       // blocks that a 32-bit number can name

	// resizeFileSize is the length that the resize inode claims: all that direct, indirect and double-indirect
	// blocks can map. The kernel and e2fsck expect it, whatever is mapped.
	resizeFileSize = (12 + maxReserved + maxReserved*maxReserved) * BlockSize
)

// reservedDescriptorBlocks is how many descriptor blocks are kept for growing to growTo bytes, within what the resize
// inode can describe: 1024 blocks, all of them below block 2^32.
func reservedDescriptorBlocks(blocks, descriptors, growTo uint64) uint64 {
	perBlock := uint64(descriptorsPerBlock)
	if isNarrow(blocks, growTo) {
		perBlock = BlockSize / narrowSize
	}
	want := min(ceilDiv(ceilDiv(growTo, groupBytes), perBlock), max32/blocksPerGroup/perBlock)
	if want <= descriptors || !hasResizeInode(blocks) {
		return 0
	}
	return min(want-descriptors, maxReserved)
}

// isNarrow reports whether a seed of that many blocks gets descriptors of 32 bytes: when these fit the reserve for
// growTo and wide ones do not, from 8 to 16 TiB. Otherwise the kernel would go on with meta_bg, and each of its
// hundreds of descriptor blocks, far apart, would have to be written before the mount.
func isNarrow(blocks, growTo uint64) bool {
	grown := growTo / BlockSize
	return blocks < grown && grown > maxReserved*descriptorsPerBlock*blocksPerGroup && grown < max32
}

func (l *Layout) descriptorSize() uint64 {
	if l.narrow {
		return narrowSize
	}
	return descriptorSize
}

func (l *Layout) descriptorsPerBlock() uint64 { return BlockSize / l.descriptorSize() }

// hasResizeInode reports whether a filesystem of that many blocks has one: it maps with 32-bit block numbers.
func hasResizeInode(blocks uint64) bool { return blocks <= max32 }

// resizeBlocks is the number of blocks placed for the resize inode itself: its double-indirect block.
func (l *Layout) resizeBlocks() uint64 {
	if hasResizeInode(l.Blocks) {
		return 1
	}
	return 0
}

// resizeInode is inode 7. Its double-indirect block points to each reserved descriptor block of group 0; these, as
// indirect blocks, point to their copies in the groups that hold backups (fs/ext4/resize.c, verify_reserved_gdb).
func (l *Layout) resizeInode(doubleIndirect uint64, now timestamp) inode {
	backups := uint64(len(backupGroups(l.Groups)))
	n := inode{
		mode:   modeRegular | 0o600,
		links:  1,
		size:   resizeFileSize,
		blocks: 1 + l.ReservedDescriptorBlocks*(1+backups),
		times:  now,
	}
	binary.LittleEndian.PutUint32(n.block[4*doubleIndirectSlot:], uint32(doubleIndirect))
	return n
}

// putDoubleIndirect fills the double-indirect block: the entry of descriptor block n, counted from the first one of
// the table, is n modulo 1024.
func (l *Layout) putDoubleIndirect(block []byte) {
	for i := range l.ReservedDescriptorBlocks {
		n := l.DescriptorBlocks + i
		binary.LittleEndian.PutUint32(block[4*(n%maxReserved):], uint32(1+n))
	}
}

// putReserved fills group 0's i-th reserved descriptor block: where its copies are.
func (l *Layout) putReserved(block []byte, i uint64) {
	at := 1 + l.DescriptorBlocks + i
	for n, group := range backupGroups(l.Groups) {
		binary.LittleEndian.PutUint32(block[4*n:], uint32(at+group*blocksPerGroup))
	}
}

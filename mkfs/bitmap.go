package mkfs

// setBits sets the bits [start, end) of a bitmap, the lowest bit of the first byte being bit 0.
func setBits(bitmap []byte, start, end uint64) {
	for ; start < end && start%8 != 0; start++ {
		bitmap[start/8] |= 1 << (start % 8)
	}
	for ; start+8 <= end; start += 8 {
		bitmap[start/8] = 0xFF
	}
	for ; start < end; start++ {
		bitmap[start/8] |= 1 << (start % 8)
	}
}

// putBlockBitmap marks the blocks of a group of f that are in use, and those beyond the end of the filesystem.
func (f *flexGroup) putBlockBitmap(bitmap []byte, l *Layout, group uint64) {
	start := group * blocksPerGroup
	size := l.groupBlocks(group)
	for _, i := range f.items {
		if i.within(start, start+size) > 0 {
			setBits(bitmap, max(i.start, start)-start, min(i.end(), start+size)-start)
		}
	}
	setBits(bitmap, size, blocksPerGroup)
}

// putInodeBitmap marks the inodes of a group that are in use, and the bits for which there is no inode.
func putInodeBitmap(bitmap []byte, l *Layout, group uint64) {
	if group == 0 {
		setBits(bitmap, 0, usedInodes)
	}
	setBits(bitmap, l.InodesPerGroup, maxInodesPerGroup)
}

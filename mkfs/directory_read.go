package mkfs

import (
	"bytes"
	"encoding/binary"
)

// entries visits the entries of a directory but ".", until visit returns false. Blocks that cannot be read are left out;
// inode may be nil, or no directory.
func (f *pathFinder) entries(inode []byte, visit func(name []byte, child uint64) bool) {
	if inode == nil || !isDirectory(inode) {
		return
	}
	le := binary.LittleEndian
	left := ceilDiv(uint64(le.Uint32(inode[0x04:]))|uint64(le.Uint32(inode[0x6C:]))<<32, BlockSize)
	f.inodeExtents(inode, func(e extent) {
		if e.node || e.unwritten {
			return
		}
		for at := e.start; at < e.end() && left > 0 && f.dirBlocks < 2*f.Blocks; at++ {
			left--
			f.dirBlocks++
			if f.read(f.block, at) == nil && !eachEntry(f.block, visit) {
				left = 0
			}
		}
	})
}

// eachEntry visits the entries of a directory block but ".", until visit returns false, which it then returns too. Blocks
// of an index look like one unused entry, and so does a checksum. What makes no sense ends the block.
func eachEntry(block []byte, visit func(name []byte, child uint64) bool) bool {
	le := binary.LittleEndian
	for len(block) >= 12 {
		inode, length, size := le.Uint32(block), int(le.Uint16(block[4:])), int(block[6])
		if length < 8+size || length > len(block) || length%4 != 0 {
			return true
		}
		name := block[8 : 8+size]
		if inode != 0 && size > 0 && string(name) != "." && bytes.IndexByte(name, '/') < 0 && bytes.IndexByte(name, 0) < 0 && !visit(name, uint64(inode)) {
			return false
		}
		block = block[length:]
	}
	return true
}

func isDirectory(inode []byte) bool {
	return binary.LittleEndian.Uint16(inode)&modeType == modeDirectory
}

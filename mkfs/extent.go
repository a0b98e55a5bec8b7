package mkfs

import "encoding/binary"

// maxInlineExtents is how many extents fit into an inode.
const maxInlineExtents = 4

const extentMagic = 0xF30A

// putExtents writes an extent tree of depth 0 into the 60 bytes of an inode's i_block: a header of 12 bytes, then 12
// for each extent (Documentation/filesystems/ext4/ifork.rst). An extent is at most 32768 blocks long.
func putExtents(block *[60]byte, spans ...span) {
	le := binary.LittleEndian
	le.PutUint16(block[0:], extentMagic)
	le.PutUint16(block[2:], uint16(len(spans)))
	le.PutUint16(block[4:], maxInlineExtents)
	logical := uint64(0)
	for i, s := range spans {
		e := block[12+12*i:]
		le.PutUint32(e[0:], uint32(logical))
		le.PutUint16(e[4:], uint16(s.count))
		le.PutUint16(e[6:], uint16(s.start>>32))
		le.PutUint32(e[8:], uint32(s.start))
		logical += s.count
	}
}

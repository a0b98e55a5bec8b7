package mkfs

import "encoding/binary"

const (
	rootBlocks      = 1
	lostFoundBlocks = 4 // room for e2fsck, which must not allocate while it repairs
	typeDirectory   = 2
)

// dirEntry is one name in a directory block.
type dirEntry struct {
	inode uint32 // 0: unused
	name  string
}

// putEntries writes directory entries, all of them for directories, into a block; the last one takes the rest of it
// (struct ext4_dir_entry_2; Documentation/filesystems/ext4/directory.rst).
func putEntries(block []byte, entries ...dirEntry) {
	le := binary.LittleEndian
	for i, e := range entries {
		length := (8 + len(e.name) + 3) &^ 3
		if i == len(entries)-1 {
			length = len(block)
		}
		le.PutUint32(block[0:], e.inode)
		le.PutUint16(block[4:], uint16(length))
		if e.inode != 0 {
			block[6] = byte(len(e.name))
			block[7] = typeDirectory
			copy(block[8:], e.name)
		}
		block = block[length:]
	}
}

func putRoot(block []byte) {
	putEntries(block, dirEntry{rootInode, "."}, dirEntry{rootInode, ".."}, dirEntry{lostFoundInode, "lost+found"})
}

// putLostFound fills block i of lost+found: "." and ".." first, then blocks without names.
func putLostFound(block []byte, i uint64) {
	if i == 0 {
		putEntries(block, dirEntry{lostFoundInode, "."}, dirEntry{rootInode, ".."})
		return
	}
	putEntries(block, dirEntry{})
}

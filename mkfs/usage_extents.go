package mkfs

import "encoding/binary"

// extent is a run of a file's blocks on the device.
type extent struct {
	span
	unwritten bool // allocated, and read as zeros by the filesystem
	node      bool // no contents, but a node of the tree of extents
}

const (
	maxExtentDepth   = 5
	maxExtentBlocks  = 32768 // longer: unwritten, and so much shorter
	tableChunkBlocks = 64
)

// eachInode calls visit for every inode in use, with its bytes. What cannot be read, or makes no sense, as on a live
// filesystem can be for a moment, is left out. The error is that of the context.
func (r *usageReader) eachInode(visit func(number uint64, inode []byte)) error {
	used, table := make([]byte, BlockSize), make([]byte, tableChunkBlocks*BlockSize)
	for group := range r.descriptors {
		d := &r.descriptors[group]
		inodes := r.tableInodes(d)
		if inodes == 0 {
			continue
		}
		if err := r.read(used, d.inodeBitmap); err != nil {
			r.unreadable(d.inodeBitmap)
			setBits(used, 0, blocksPerGroup) // better one that was freed than none
		}
		first := uint64(group)*r.InodesPerGroup + 1
		for done := uint64(0); done < inodes; {
			chunk := table[:min(uint64(len(table)), ceilDiv((inodes-done)*uint64(r.InodeSize), BlockSize)*BlockSize)]
			r.readTable(chunk, d.inodeTable+done*uint64(r.InodeSize)/BlockSize)
			n := min(uint64(len(chunk)/r.InodeSize), inodes-done)
			for i := range n {
				if number := done + i; used[number/8]>>(number%8)&1 == 1 {
					visit(first+number, chunk[i*uint64(r.InodeSize):])
				}
			}
			done += n
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// readTable reads a part of an inode table. A block that cannot be read counts as zeros.
func (r *usageReader) readTable(chunk []byte, at uint64) {
	if r.read(chunk, at) == nil {
		return
	}
	for i := 0; i < len(chunk); i += BlockSize {
		if block := chunk[i : i+BlockSize]; r.read(block, at+uint64(i)/BlockSize) != nil {
			clear(block)
			r.unreadable(at + uint64(i)/BlockSize)
		}
	}
}

// readInode returns the bytes of an inode; nil when that cannot be read, or is none.
func (r *usageReader) readInode(number uint64) []byte {
	group, index := (number-1)/r.InodesPerGroup, (number-1)%r.InodesPerGroup
	if number == 0 || BlockSize%r.InodeSize != 0 || group >= uint64(len(r.descriptors)) || index >= r.tableInodes(&r.descriptors[group]) {
		return nil
	}
	block, at := make([]byte, BlockSize), index*uint64(r.InodeSize)
	if r.read(block, r.descriptors[group].inodeTable+at/BlockSize) != nil {
		return nil
	}
	return block[at%BlockSize:]
}

// inodeExtents visits the extents of an inode, and the nodes that they are in.
func (r *usageReader) inodeExtents(inode []byte, visit func(extent)) {
	if binary.LittleEndian.Uint32(inode[0x20:])&flagExtents != 0 {
		r.extentNode(inode[0x28:0x64], maxExtentDepth, visit)
	}
}

// extentNode visits what a node of an extent tree holds: a header, then extents or, above depth 0, other nodes
// (Documentation/filesystems/ext4/ifork.rst).
func (r *usageReader) extentNode(node []byte, deepest uint16, visit func(extent)) {
	le := binary.LittleEndian
	entries, depth := int(le.Uint16(node[2:])), le.Uint16(node[6:])
	if le.Uint16(node) != extentMagic || entries > len(node)/12-1 || depth > deepest {
		return
	}
	for i := range entries {
		e := node[12+12*i:]
		if depth == 0 {
			visit(parseExtent(e))
			continue
		}
		r.extentChild(uint64(le.Uint32(e[4:]))|uint64(le.Uint16(e[8:]))<<32, depth-1, visit)
	}
}

func (r *usageReader) extentChild(at uint64, depth uint16, visit func(extent)) {
	if r.treeBlocks++; r.treeBlocks > r.Blocks {
		return // more nodes than there are blocks
	}
	visit(extent{span: span{at, 1}, node: true})
	node := make([]byte, BlockSize)
	if err := r.read(node, at); err != nil {
		r.unreadable(at)
		return
	}
	r.extentNode(node, depth, visit)
}

func parseExtent(e []byte) extent {
	le := binary.LittleEndian
	count := uint64(le.Uint16(e[4:]))
	x := extent{span: span{uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32, count}}
	if count > maxExtentBlocks {
		x.count, x.unwritten = count-maxExtentBlocks, true
	}
	return x
}

package mkfs

import (
	"context"
	"io"
)

// PrepareGrowth writes, as zeros, the few blocks behind the filesystem that the kernel reads while it grows: the last
// block of each size of the growth, which it reads to see that the device reaches that far, and, beyond the reserve of
// descriptor blocks, the first block of each 64th group, where it then keeps the descriptors of that meta group
// (fs/ext4/resize.c: ext4_resize_fs, add_new_gdb_meta_bg).
//
// It is for the time between Format and the mount, and only for it: on a filesystem that grew in the meantime these
// blocks may hold somebody's data. dev is as for Format, and errors are the same.
func (l *Layout) PrepareGrowth(ctx context.Context, dev io.WriterAt, g Growth) error {
	blocks := l.ReadWhileGrowing(g)
	w := newWriter(ctx, dev, uint64(len(blocks))*BlockSize, nil)
	for _, n := range blocks {
		w.writeZeros(n, 1)
	}
	w.wait()
	return w.err
}

// ReadWhileGrowing lists the blocks that PrepareGrowth writes, in ascending order.
func (l *Layout) ReadWhileGrowing(g Growth) []uint64 {
	metaBlocks := l.descriptorsPerBlock() * blocksPerGroup
	var list []uint64
	meta := (l.DescriptorBlocks + l.ReservedDescriptorBlocks) * metaBlocks
	for size, more := g.Next(l.Size()); more; size, more = g.Next(size) {
		last := size/BlockSize - 1
		for ; meta < last; meta += metaBlocks {
			list = append(list, meta)
		}
		if list = append(list, last); meta == last {
			meta += metaBlocks
		}
	}
	return list
}

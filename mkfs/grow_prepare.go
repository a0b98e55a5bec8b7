package mkfs

import (
	"context"
	"io"
)

// PrepareGrowth is [Geometry.PrepareGrowth] for the time between Format and the mount.
func (l *Layout) PrepareGrowth(ctx context.Context, dev io.WriterAt, g Growth) error {
	return l.Geometry().PrepareGrowth(ctx, dev, g, l.Size())
}

// ReadWhileGrowing lists the blocks that PrepareGrowth writes, in ascending order.
func (l *Layout) ReadWhileGrowing(g Growth) []uint64 { return l.Geometry().ReadWhileGrowing(g) }

// PrepareGrowth writes, as zeros, the few blocks behind the filesystem that the kernel reads while it grows: the last
// block of each size of the growth, which it reads to see that the device reaches that far, and, beyond the reserve of
// descriptor blocks, the first block of each 64th group, where it then keeps the descriptors of that meta group
// (fs/ext4/resize.c: ext4_resize_fs, add_new_gdb_meta_bg). Those before byte from are left as they are.
//
// On a filesystem that grew in the meantime these blocks may hold somebody's data. So it is for one that is not mounted
// and needs no recovery; or for what is behind the end, from, of the device that a mounted one had until now. dev is as
// for Format, and errors are the same.
func (g Geometry) PrepareGrowth(ctx context.Context, dev io.WriterAt, growth Growth, from uint64) error {
	blocks := g.ReadWhileGrowing(growth)
	w := newWriter(ctx, dev, uint64(len(blocks))*BlockSize, nil)
	for _, n := range blocks {
		if n >= max(g.Blocks, ceilDiv(from, BlockSize)) {
			w.writeZeros(n, 1)
		}
	}
	w.wait()
	return w.err
}

// ReadWhileGrowing lists the blocks behind the filesystem that the kernel reads while it grows, in ascending order.
func (g Geometry) ReadWhileGrowing(growth Growth) []uint64 {
	metaBlocks := g.perBlock * blocksPerGroup
	var list []uint64
	meta := g.descriptors * metaBlocks
	for size, more := growth.Next(g.Size()); more; size, more = growth.Next(size) {
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

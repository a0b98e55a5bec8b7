package mkfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ReadUsage finds out which blocks of a filesystem are in use. It reads the superblock, the group descriptors, and of
// bitmaps, inode tables and extent trees what they say was written. Nothing else is touched, so dev may be a device that
// was never wiped; on a block device turn readahead off (POSIX_FADV_RANDOM), which would read on.
//
// When the filesystem is mounted, dev must be open without O_DIRECT: the page cache then has the metadata as the kernel
// knows it at this moment. The contents of files lag behind, so sync first. The result is of no single moment: a block
// that came into use or out of it meanwhile may be in it or not.
//
// size is that of the device in bytes. It takes 4 KiB of memory for each group in use, 32 MiB for 1 TiB, and believes
// nothing: whatever dev returns, it ends. Errors are ErrForeign, also for a filesystem with features that this package
// does not know, and *OpError when the superblock or the descriptors cannot be read, or ctx ended.
func ReadUsage(ctx context.Context, dev io.ReaderAt, size uint64) (*Usage, error) {
	r, err := newUsageReader(ctx, dev, size)
	if err != nil {
		return nil, err
	}
	err = r.eachInode(func(_ uint64, inode []byte) {
		r.inodeExtents(inode, func(e extent) {
			if e.unwritten {
				r.leaveOut(e.span)
			}
		})
	})
	slices.Sort(r.Unreadable)
	r.Unreadable = slices.Compact(r.Unreadable)
	return &r.Usage, err
}

// usageReader reads the metadata of one filesystem.
type usageReader struct {
	Usage
	ctx         context.Context
	dev         io.ReaderAt
	super       superblock
	descriptors []readDescriptor
	treeBlocks  uint64 // of extent trees, read so far: a tree that contains itself has no end
}

func newUsageReader(ctx context.Context, dev io.ReaderAt, size uint64) (*usageReader, error) {
	r := &usageReader{ctx: ctx, dev: dev}
	if err := r.readSuperblock(size); err != nil {
		return nil, err
	}
	return r, r.readGroups()
}

// readDescriptor is what reading needs of a group descriptor.
type readDescriptor struct {
	blockBitmap, inodeBitmap, inodeTable uint64
	flags                                uint16
	unusedInodes                         uint64 // at the end of the table
}

const (
	flagInodeUninit = 0x1 // no inode of the group was ever used, and its bitmap may be unwritten
	flagBlockUninit = 0x2 // no block of the group was ever allocated, and its bitmap may be unwritten

	stateValid          = 0x1
	incompatRecover     = 0x4
	incompatMetaBG      = 0x10
	incompatCsumSeed    = 0x2000
	incompatLargedir    = 0x4000
	compatSparseSuper2  = 0x200
	roBigalloc          = 0x200
	roMetadataCsum      = 0x400
	roGroupChecksums    = roGDTCsum | roMetadataCsum
	knownIncompat       = incompatFiletype | incompatRecover | incompatMetaBG | incompatExtents | incompat64Bit | incompatFlexBG | incompatCsumSeed | incompatLargedir
	maxUnreadableBlocks = 1 << 16
)

func (r *usageReader) readSuperblock(size uint64) error {
	geometry, err := ReadGeometry(r.dev)
	var op *OpError
	switch {
	case errors.As(err, &op):
		return fmt.Errorf("superblock: %w", err)
	case err != nil:
		return err
	}
	block := make([]byte, BlockSize)
	if _, err := r.dev.ReadAt(block, 0); err != nil {
		return fmt.Errorf("superblock: %w", &OpError{"read", 0, BlockSize, err})
	}
	if _, err := binary.Decode(block[superblockOffset:], binary.LittleEndian, &r.super); err != nil {
		return fmt.Errorf("mkfs: superblock: %w", err)
	}
	if geometry.Blocks == 0 || geometry.Blocks > size/BlockSize {
		return fmt.Errorf("mkfs: superblock: %w: %d blocks on a device of %d", ErrForeign, geometry.Blocks, size/BlockSize)
	}
	s := &r.super
	if s.FeatureIncompat&^knownIncompat != 0 || s.FeatureROCompat&roBigalloc != 0 || s.FeatureCompat&compatSparseSuper2 != 0 ||
		s.FeatureROCompat&roSparseSuper == 0 || s.FirstDataBlock != 0 ||
		r.descriptorBytes() < narrowSize || BlockSize%r.descriptorBytes() != 0 {
		return fmt.Errorf("mkfs: superblock: %w: it has features that are not known here", ErrForeign)
	}
	r.Geometry = geometry
	r.Unclean = s.State&stateValid == 0 || s.FeatureIncompat&incompatRecover != 0
	return nil
}

func (r *usageReader) descriptorBytes() uint64 {
	if r.super.FeatureIncompat&incompat64Bit == 0 {
		return narrowSize
	}
	return uint64(r.super.DescriptorSize)
}

func (r *usageReader) groupCount() uint64 { return ceilDiv(r.Blocks, blocksPerGroup) }

// readGroups reads all descriptors, then the bitmaps, and leaves out what was never written of the metadata.
func (r *usageReader) readGroups() error {
	block := make([]byte, BlockSize)
	perBlock := BlockSize / r.descriptorBytes()
	for n := uint64(0); n*perBlock < r.groupCount(); n++ {
		at := r.descriptorBlock(n, perBlock)
		if err := r.read(block, at); err != nil {
			return fmt.Errorf("group descriptors: %w", err)
		}
		for i := range min(perBlock, r.groupCount()-n*perBlock) {
			r.descriptors = append(r.descriptors, r.parseDescriptor(block[i*r.descriptorBytes():]))
		}
	}
	for group := range r.descriptors {
		bitmap, err := r.blockBitmap(uint64(group))
		if err != nil {
			return err
		}
		r.groups = append(r.groups, bitmap)
	}
	for i := range r.descriptors {
		r.leaveOutUnwritten(&r.descriptors[i])
	}
	return nil
}

// descriptorBlock returns where the n-th block of descriptors is (Documentation/filesystems/ext4/blockgroup.rst, meta
// block groups).
func (r *usageReader) descriptorBlock(n, perBlock uint64) uint64 {
	if r.super.FeatureIncompat&incompatMetaBG == 0 || n < uint64(r.super.FirstMetaBG) {
		return 1 + n
	}
	group := n * perBlock
	if hasSuper(group) {
		return group*blocksPerGroup + 1
	}
	return group * blocksPerGroup
}

func (r *usageReader) parseDescriptor(b []byte) readDescriptor {
	le := binary.LittleEndian
	d := readDescriptor{
		blockBitmap:  uint64(le.Uint32(b[0x00:])),
		inodeBitmap:  uint64(le.Uint32(b[0x04:])),
		inodeTable:   uint64(le.Uint32(b[0x08:])),
		flags:        le.Uint16(b[0x12:]),
		unusedInodes: uint64(le.Uint16(b[0x1C:])),
	}
	if r.descriptorBytes() >= descriptorSize {
		d.blockBitmap |= uint64(le.Uint32(b[0x20:])) << 32
		d.inodeBitmap |= uint64(le.Uint32(b[0x24:])) << 32
		d.inodeTable |= uint64(le.Uint32(b[0x28:])) << 32
		d.unusedInodes |= uint64(le.Uint16(b[0x32:])) << 16
	}
	if r.super.FeatureROCompat&roGroupChecksums == 0 { // without checksums the kernel takes neither for true
		d.flags, d.unusedInodes = flagInodeZeroed, 0
	}
	d.unusedInodes = min(d.unusedInodes, r.InodesPerGroup)
	return d
}

// blockBitmap returns the bitmap of a group: read, or made up as the kernel does where it may be unwritten.
func (r *usageReader) blockBitmap(group uint64) ([]byte, error) {
	d := &r.descriptors[group]
	if d.flags&flagBlockUninit != 0 {
		return r.madeUpBitmap(group), nil
	}
	bitmap := make([]byte, BlockSize)
	switch err := r.read(bitmap, d.blockBitmap); {
	case r.ctx.Err() != nil:
		return nil, err
	case err != nil:
		r.unreadable(d.blockBitmap)
		return nil, nil
	}
	size := min(blocksPerGroup, r.Blocks-group*blocksPerGroup)
	clearBits(bitmap, size, blocksPerGroup) // what lies beyond the end is marked in use
	if nextRun(bitmap, 0).count == 0 {
		return nil, nil
	}
	return bitmap, nil
}

// madeUpBitmap has the copies of superblock and descriptors; other metadata is never in such a group.
func (r *usageReader) madeUpBitmap(group uint64) []byte {
	perBlock := BlockSize / r.descriptorBytes()
	inMeta := r.super.FeatureIncompat&incompatMetaBG != 0 && group >= uint64(r.super.FirstMetaBG)*perBlock
	if !hasSuper(group) || inMeta {
		return nil
	}
	descriptors := ceilDiv(r.groupCount(), perBlock)
	if r.super.FeatureIncompat&incompatMetaBG != 0 {
		descriptors = min(descriptors, uint64(r.super.FirstMetaBG))
	}
	bitmap := make([]byte, BlockSize)
	size := min(blocksPerGroup, r.Blocks-group*blocksPerGroup)
	setBits(bitmap, 0, min(size, 1+descriptors+uint64(r.super.ReservedGDTBlocks)))
	return bitmap
}

// leaveOutUnwritten takes out of the runs the metadata that a group has, and that nobody may have written.
func (r *usageReader) leaveOutUnwritten(d *readDescriptor) {
	if d.flags&flagBlockUninit != 0 {
		r.leaveOut(span{d.blockBitmap, 1})
	}
	if d.flags&flagInodeUninit != 0 {
		r.leaveOut(span{d.inodeBitmap, 1})
	}
	if d.flags&flagInodeZeroed == 0 {
		written := ceilDiv(r.tableInodes(d)*uint64(r.InodeSize), BlockSize)
		r.leaveOut(span{d.inodeTable + written, ceilDiv(r.tableBytes(), BlockSize) - written})
	}
}

// tableInodes is the number of inodes at the start of a group's table that may be in use.
func (r *usageReader) tableInodes(d *readDescriptor) uint64 {
	if d.flags&flagInodeUninit != 0 {
		return 0
	}
	return r.InodesPerGroup - d.unusedInodes
}

// read reads whole blocks from block n on.
func (r *usageReader) read(b []byte, n uint64) error {
	err := r.ctx.Err()
	if err == nil && (n >= r.Blocks || uint64(len(b))/BlockSize > r.Blocks-n) {
		err = errors.New("beyond the end of the filesystem")
	}
	if err == nil {
		_, err = r.dev.ReadAt(b, int64(n*BlockSize))
	}
	if err != nil {
		return &OpError{"read", int64(n * BlockSize), len(b), err}
	}
	return nil
}

// unreadable remembers a block that could not be read; after too many the rest is as hopeless.
func (r *usageReader) unreadable(block uint64) {
	if block < r.Blocks && len(r.Unreadable) < maxUnreadableBlocks {
		r.Unreadable = append(r.Unreadable, block)
	}
}

package mkfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Geometry is what growing must know of a filesystem.
type Geometry struct {
	Blocks         uint64 // now
	InodesPerGroup uint64
	InodeSize      int // bytes
	// NeedsRecovery: its journal has what is newer than the superblock that was
	// read, perhaps the size. A mount brings it there.
	NeedsRecovery bool
	// MetadataChecksums: its features have metadata_csum, with which the kernel
	// reads, while it grows, bitmaps that nobody has written. See [Layout].
	MetadataChecksums bool

	descriptors uint64 // blocks of group descriptors, present and reserved; with meta_bg all that are present
	perBlock    uint64 // group descriptors in a block
}

// ErrForeign reports a device without an ext4 filesystem, or with one whose blocks or groups are not of the size that
// this package writes.
var ErrForeign = errors.New("not a filesystem of this kind")

// ReadGeometry reads the superblock from a device. The first block is all that is read. When the filesystem is mounted, dev must
// be open without O_DIRECT: the page cache then has the superblock as the kernel knows it at this moment.
func ReadGeometry(dev io.ReaderAt) (Geometry, error) {
	block := aligned(BlockSize) // the device may be open with O_DIRECT
	if _, err := dev.ReadAt(block, 0); err != nil {
		return Geometry{}, &OpError{"read", 0, BlockSize, err}
	}
	var s superblock
	if _, err := binary.Decode(block[superblockOffset:], binary.LittleEndian, &s); err != nil {
		return Geometry{}, fmt.Errorf("mkfs: superblock: %w", err)
	}
	const magic = 0xEF53
	if s.Magic != magic || s.LogBlockSize != 2 || s.BlocksPerGroup != blocksPerGroup ||
		s.InodesPerGroup == 0 || s.InodesPerGroup > maxInodesPerGroup || s.InodeSize < 128 || s.InodeSize > BlockSize {
		return Geometry{}, fmt.Errorf("mkfs: superblock: %w: want ext4 with 4096-byte blocks, %d in a group", ErrForeign, blocksPerGroup)
	}
	return s.geometry(), nil
}

func (s *superblock) geometry() Geometry {
	g := Geometry{
		Blocks:            uint64(s.BlocksCountHi)<<32 | uint64(s.BlocksCountLo),
		InodesPerGroup:    uint64(s.InodesPerGroup),
		InodeSize:         int(s.InodeSize),
		NeedsRecovery:     s.FeatureIncompat&incompatRecover != 0,
		MetadataChecksums: s.FeatureROCompat&roMetadataCsum != 0,
		perBlock:          BlockSize / narrowSize,
	}
	if s.FeatureIncompat&incompat64Bit != 0 {
		g.perBlock = BlockSize / uint64(max(narrowSize, min(s.DescriptorSize, BlockSize)))
	}
	g.descriptors = ceilDiv(ceilDiv(g.Blocks, blocksPerGroup), g.perBlock)
	if s.FeatureIncompat&incompatMetaBG == 0 {
		g.descriptors += uint64(s.ReservedGDTBlocks)
	}
	return g
}

// Geometry is that of the filesystem as planned.
func (l *Layout) Geometry() Geometry {
	return Geometry{Blocks: l.Blocks, InodesPerGroup: l.InodesPerGroup, InodeSize: l.InodeSize,
		descriptors: l.DescriptorBlocks + l.ReservedDescriptorBlocks, perBlock: l.descriptorsPerBlock()}
}

// Size is the filesystem's size in bytes.
func (g Geometry) Size() uint64 { return g.Blocks * BlockSize }

// tableBytes is the size of one group's inode table.
func (g Geometry) tableBytes() uint64 { return g.InodesPerGroup * uint64(g.InodeSize) }

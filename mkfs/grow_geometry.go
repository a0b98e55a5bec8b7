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
}

// ErrForeign reports a device without an ext4 filesystem, or with one whose blocks or groups are not of the size that
// this package writes.
var ErrForeign = errors.New("not a filesystem of this kind")

// ReadGeometry reads the superblock from a device. The first block is all that is read. When the filesystem is mounted, dev must
// be open without O_DIRECT: the page cache then has the superblock as the kernel knows it at this moment.
func ReadGeometry(dev io.ReaderAt) (Geometry, error) {
	block := make([]byte, BlockSize)
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
	return Geometry{
		Blocks:         uint64(s.BlocksCountHi)<<32 | uint64(s.BlocksCountLo),
		InodesPerGroup: uint64(s.InodesPerGroup),
		InodeSize:      int(s.InodeSize),
	}, nil
}

// Geometry is that of the filesystem as planned.
func (l *Layout) Geometry() Geometry {
	return Geometry{Blocks: l.Blocks, InodesPerGroup: l.InodesPerGroup, InodeSize: l.InodeSize}
}

// Size is the filesystem's size in bytes.
func (g Geometry) Size() uint64 { return g.Blocks * BlockSize }

// tableBytes is the size of one group's inode table.
func (g Geometry) tableBytes() uint64 { return g.InodesPerGroup * uint64(g.InodeSize) }

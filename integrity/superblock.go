package integrity

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

const magic = "integrt\x00"

// Versions of the superblock that the kernel writes: 4 is the one with padding
// as we ask for it, 2 the one of a device of its own, which has none.
const (
	superblockVersion = 4
	separateVersion   = 2
)

// Flags of a superblock.
const (
	flagJournalMAC    = 0x1
	flagRecalculating = 0x2
	flagDirtyBitmap   = 0x4
	flagFixedPadding  = 0x8
	flagFixedHMAC     = 0x10
)

// Superblock is what lies in the 4096 bytes at the start of the layer, all of it:
// two superblocks are equal with == when their bytes are. On disk the numbers
// are little-endian.
type Superblock struct {
	Magic                  [8]byte
	Version                uint8
	Log2InterleaveSectors  uint8
	TagSize                uint16 // bytes
	JournalSections        uint32
	ProvidedSectors        uint64
	Flags                  uint32
	Log2SectorsPerBlock    uint8
	Log2BlocksPerBitmapBit uint8
	Padding                [2]byte
	RecalculateSector      uint64
	Padding2               [8]byte
	Salt                   [16]byte
	Rest                   [SuperblockSize - 64]byte
}

// ParseSuperblock reads a superblock from at least [SuperblockSize] bytes. It
// only takes the fields apart: any content is a Superblock, and
// [Superblock.Check] judges it.
func ParseSuperblock(b []byte) (Superblock, error) {
	var s Superblock
	if _, err := binary.Decode(b, binary.LittleEndian, &s); err != nil {
		return Superblock{}, fmt.Errorf("superblock of %d bytes, want %d: %w", len(b), SuperblockSize, ErrInvalid)
	}
	return s, nil
}

// Bytes returns the superblock as it is on disk, [SuperblockSize] bytes.
func (s Superblock) Bytes() []byte {
	b, err := binary.Append(nil, binary.LittleEndian, &s)
	if err != nil {
		panic(err) // a struct of fixed-size fields always encodes
	}
	return b
}

// Superblock returns the only superblock that is right for a layout.
func (l Layout) Superblock() Superblock {
	s := Superblock{
		Magic:                  [8]byte([]byte(magic)),
		Version:                superblockVersion,
		Log2InterleaveSectors:  log2Interleave,
		TagSize:                TagSize,
		JournalSections:        l.JournalSections,
		ProvidedSectors:        l.ProvidedSectors,
		Flags:                  flagFixedPadding,
		Log2SectorsPerBlock:    uint8(bits.TrailingZeros(blockSectors)),
		Log2BlocksPerBitmapBit: l.log2BitmapBlocks(),
	}
	if l.Separate { // no runs, so no padding
		s.Version, s.Log2InterleaveSectors, s.Flags = separateVersion, 0, 0
	}
	return s
}

func (s Superblock) zero() bool { return s == Superblock{} }

// HasMagic reports whether this is meant as a superblock.
func (s Superblock) HasMagic() bool { return bytes.Equal(s.Magic[:], []byte(magic)) }

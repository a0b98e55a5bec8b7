package mkfs

import (
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

const (
	superblockOffset = 1024 // in block 0; 0 in the copies
	superblockSize   = 1024
)

// superblock is struct ext4_super_block, little-endian (Documentation/filesystems/ext4/super.rst).
type superblock struct {
	InodesCount       uint32     // 0x00
	BlocksCountLo     uint32     // 0x04
	ReservedBlocksLo  uint32     // 0x08
	FreeBlocksLo      uint32     // 0x0C
	FreeInodes        uint32     // 0x10
	FirstDataBlock    uint32     // 0x14
	LogBlockSize      uint32     // 0x18: 1024 << this
	LogClusterSize    uint32     // 0x1C
	BlocksPerGroup    uint32     // 0x20
	ClustersPerGroup  uint32     // 0x24
	InodesPerGroup    uint32     // 0x28
	MountTime         uint32     // 0x2C
	WriteTime         uint32     // 0x30
	MountCount        uint16     // 0x34
	MaxMountCount     uint16     // 0x36
	Magic             uint16     // 0x38
	State             uint16     // 0x3A
	Errors            uint16     // 0x3C
	MinorRevision     uint16     // 0x3E
	LastCheck         uint32     // 0x40
	CheckInterval     uint32     // 0x44
	CreatorOS         uint32     // 0x48
	Revision          uint32     // 0x4C
	ReservedUID       uint16     // 0x50
	ReservedGID       uint16     // 0x52
	FirstInode        uint32     // 0x54
	InodeSize         uint16     // 0x58
	BlockGroup        uint16     // 0x5A: group of this copy
	FeatureCompat     uint32     // 0x5C
	FeatureIncompat   uint32     // 0x60
	FeatureROCompat   uint32     // 0x64
	UUID              [16]byte   // 0x68
	Label             [16]byte   // 0x78
	LastMounted       [64]byte   // 0x88
	AlgorithmBitmap   uint32     // 0xC8
	PreallocBlocks    [2]byte    // 0xCC
	ReservedGDTBlocks uint16     // 0xCE
	JournalUUID       [16]byte   // 0xD0: of an external journal
	JournalInode      uint32     // 0xE0
	JournalDevice     uint32     // 0xE4
	LastOrphan        uint32     // 0xE8
	HashSeed          [16]byte   // 0xEC
	DefaultHash       uint8      // 0xFC
	JournalBackup     uint8      // 0xFD
	DescriptorSize    uint16     // 0xFE
	DefaultMountOpts  uint32     // 0x100
	FirstMetaBG       uint32     // 0x104
	MkfsTime          uint32     // 0x108
	JournalBlocks     [17]uint32 // 0x10C: copy of the journal's i_block and size
	BlocksCountHi     uint32     // 0x150
	ReservedBlocksHi  uint32     // 0x154
	FreeBlocksHi      uint32     // 0x158
	MinExtraIsize     uint16     // 0x15C
	WantExtraIsize    uint16     // 0x15E
	Flags             uint32     // 0x160
	RAIDStride        uint16     // 0x164
	MMPInterval       uint16     // 0x166
	MMPBlock          uint64     // 0x168
	RAIDStripeWidth   uint32     // 0x170
	LogGroupsPerFlex  uint8      // 0x174
	ChecksumType      uint8      // 0x175
	_                 uint16     // 0x176
	KBytesWritten     uint64     // 0x178
	_                 [50]uint32 // 0x180: snapshots, error records, mount options, quota inodes
	OverheadBlocks    uint32     // 0x248
	_                 [10]uint32 // 0x24C: backup groups, encryption, lost+found, project quota, checksum seed
	TimesHi           [6]uint8   // 0x274: high bytes of write, mount, mkfs, check, first and last error time
	_                 [390]byte  // 0x27A
}

const (
	stateClean        = 1
	errorsRemountRO   = 2
	hashHalfMD4       = 1
	flagSignedHash    = 1
	mountOptXattrACL  = 0x4 | 0x8 // user_xattr, acl
	checksumCRC32C    = 1         // the only one there is; used with metadata_csum only, but go-diskfs asks for it
	journalBackupType = 1         // JournalBlocks holds a copy of the inode's blocks
	neverCheck        = 0xFFFF
)

// identity is what makes one filesystem differ from another of the same layout.
type identity struct {
	uuid     uuid.UUID
	hashSeed [16]byte
	now      int64 // Unix time in seconds
}

// superblock is the superblock of the layout, as in group 0.
func (l *Layout) superblock(id identity, journal inode) superblock {
	s := superblock{
		InodesCount:       uint32(l.Inodes),
		BlocksCountLo:     uint32(l.Blocks),
		BlocksCountHi:     uint32(l.Blocks >> 32),
		FreeBlocksLo:      uint32(l.FreeBlocks),
		FreeBlocksHi:      uint32(l.FreeBlocks >> 32),
		FreeInodes:        uint32(l.FreeInodes),
		LogBlockSize:      2,
		LogClusterSize:    2,
		BlocksPerGroup:    blocksPerGroup,
		ClustersPerGroup:  blocksPerGroup,
		InodesPerGroup:    uint32(l.InodesPerGroup),
		MaxMountCount:     neverCheck,
		Magic:             0xEF53,
		State:             stateClean,
		Errors:            errorsRemountRO,
		Revision:          1,
		FirstInode:        firstInode,
		InodeSize:         uint16(l.InodeSize),
		UUID:              id.uuid,
		ReservedGDTBlocks: uint16(l.ReservedDescriptorBlocks),
		HashSeed:          id.hashSeed,
		DefaultHash:       hashHalfMD4,
		DescriptorSize:    uint16(l.descriptorSize()),
		DefaultMountOpts:  mountOptXattrACL,
		Flags:             flagSignedHash,
		LogGroupsPerFlex:  logGroupsPerFlex,
		ChecksumType:      checksumCRC32C,
		KBytesWritten:     l.MetadataBytes / 1024,
		OverheadBlocks:    uint32(l.OverheadBlocks),
	}
	copy(s.Label[:], l.Label)
	s.setFeatures(l)
	s.setTimes(id.now)
	if l.JournalBlocks > 0 {
		s.setJournal(journal)
	}
	return s
}

func (s *superblock) setTimes(now int64) {
	s.WriteTime, s.LastCheck, s.MkfsTime = uint32(now), uint32(now), uint32(now)
	high := uint8(now >> 32)
	s.TimesHi = [6]uint8{high, 0, high, high}
}

// setJournal names the journal's inode and keeps a copy of where its blocks are.
func (s *superblock) setJournal(journal inode) {
	s.JournalInode = journalInode
	s.JournalBackup = journalBackupType
	for i := range 15 {
		s.JournalBlocks[i] = binary.LittleEndian.Uint32(journal.block[4*i:])
	}
	s.JournalBlocks[15] = uint32(journal.size >> 32)
	s.JournalBlocks[16] = uint32(journal.size)
}

// put encodes the copy for group into a block.
func (s superblock) put(block []byte, group uint64) {
	s.BlockGroup = uint16(group)
	if group == 0 {
		block = block[superblockOffset:]
	}
	if _, err := binary.Encode(block, binary.LittleEndian, &s); err != nil {
		panic(fmt.Sprintf("mkfs: superblock: %v", err)) // a struct of fixed size always encodes
	}
}

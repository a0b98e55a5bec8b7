package mkfs

import (
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestCRC16(t *testing.T) {
	// CRC-16/ARC and CRC-16/MODBUS of the usual nine digits: same polynomial, the two starting values.
	require.Equal(t, uint16(0xBB3D), crc16(0, []byte("123456789")))
	require.Equal(t, uint16(0x4B37), crc16(0xFFFF, []byte("123456789")))
	require.Equal(t, uint16(0x4B37), crc16(crc16(0xFFFF, []byte("1234")), []byte("56789")))
}

func TestBackupGroups(t *testing.T) {
	require.Empty(t, backupGroups(1))
	require.Equal(t, []uint64{1}, backupGroups(2))
	require.Equal(t, []uint64{1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343}, backupGroups(512))
	listed := make(map[uint64]bool)
	for _, g := range backupGroups(20000) {
		listed[g] = true
	}
	for g := range uint64(20000) {
		require.Equal(t, g == 0 || listed[g], hasSuper(g), "group %d", g)
	}
}

func TestSuperblockFieldsAreWhereTheKernelLooksOnEveryCPU(t *testing.T) {
	var s superblock
	require.Equal(t, superblockSize, binary.Size(s))
	for want, got := range map[uintptr]uintptr{
		0x38:  unsafe.Offsetof(s.Magic),
		0x58:  unsafe.Offsetof(s.InodeSize),
		0x68:  unsafe.Offsetof(s.UUID),
		0xCE:  unsafe.Offsetof(s.ReservedGDTBlocks),
		0xEC:  unsafe.Offsetof(s.HashSeed),
		0xFE:  unsafe.Offsetof(s.DescriptorSize),
		0x10C: unsafe.Offsetof(s.JournalBlocks),
		0x150: unsafe.Offsetof(s.BlocksCountHi),
		0x174: unsafe.Offsetof(s.LogGroupsPerFlex),
		0x248: unsafe.Offsetof(s.OverheadBlocks),
		0x274: unsafe.Offsetof(s.TimesHi),
	} {
		require.Equal(t, want, got)
	}
}

func TestSetBits(t *testing.T) {
	for start := range uint64(20) {
		for end := start; end < 40; end++ {
			bitmap := make([]byte, 5)
			setBits(bitmap, start, end)
			for i := range uint64(40) {
				require.Equal(t, i >= start && i < end, bitmap[i/8]>>(i%8)&1 == 1, "[%d,%d) bit %d", start, end, i)
			}
		}
	}
}

func TestTimestampsGoBeyond2038(t *testing.T) {
	for text, want := range map[string]timestamp{
		"2026-01-02T03:04:05.000000006Z": {0x695735A5, 6 << 2},
		"2038-01-19T03:14:07Z":           {0x7FFFFFFF, 0},
		"2038-01-19T03:14:08Z":           {0x80000000, 1},
		"2106-02-07T06:28:16Z":           {0, 1},
		"2446-05-10T22:38:55Z":           {0x7FFFFFFF, 3},
	} {
		at, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		require.Equal(t, want, timestampOf(at), text)
	}
}

func TestDescriptorUsesAllItsBitsOnEveryCPU(t *testing.T) {
	d := descriptor{blockBitmap: 0x1_0000_0002, inodeBitmap: 0x3_0000_0004, inodeTable: 0x5_0000_0006, freeBlocks: 0x8000}
	b := make([]byte, descriptorSize)
	d.put(b, 7, 0)
	le := binary.LittleEndian
	require.Equal(t, []uint32{2, 4, 6}, []uint32{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])})
	require.Equal(t, []uint32{1, 3, 5}, []uint32{le.Uint32(b[0x20:]), le.Uint32(b[0x24:]), le.Uint32(b[0x28:])})
	require.Equal(t, uint16(0x8000), le.Uint16(b[0x0C:]))
	require.Equal(t, descriptorChecksum(b, 7, 0), le.Uint16(b[0x1E:]))
	require.NotEqual(t, descriptorChecksum(b, 8, 0), le.Uint16(b[0x1E:]), "the group's number is part of it")
}

package blockdev_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/blockdev"
)

const imageSize = 2 << 20

// image is a device with some bytes at some offsets (negative: from the end).
func image(patches map[int64]string) []byte {
	b := make([]byte, imageSize)
	for offset, text := range patches {
		if offset < 0 {
			offset += imageSize
		}
		copy(b[offset:], text)
	}
	return b
}

func signature(t testing.TB, b []byte) blockdev.Found {
	t.Helper()
	found, err := blockdev.Signature(bytes.NewReader(b), uint64(len(b)))
	require.NoError(t, err)
	return found
}

// ext is an ext superblock with these compatible and incompatible features.
func ext(compatible, incompatible byte) map[int64]string {
	return map[int64]string{
		1024: "\x80\x00\x00\x00\x00\x02\x00\x00", 1024 + 56: "\x53\xef", 1024 + 76: "\x01",
		1024 + 92: string([]byte{compatible}), 1024 + 96: string([]byte{incompatible}),
	}
}

// mdMember has a superblock of an array at an offset.
func mdMember(offset int64, major string) map[int64]string {
	return map[int64]string{offset: "\xfc\x4e\x2b\xa9" + major + "\x00\x00\x00"}
}

// Made by hand from the descriptions of the formats.
func TestSignaturesByHand(t *testing.T) {
	const luks1, luks2, second = "LUKS\xba\xbe\x00\x01", "LUKS\xba\xbe\x00\x02", "SKUL\xba\xbe\x00\x02"
	partition := "\x80\x00\x02\x00\x83\xff\xff\xff\x00\x08\x00\x00\x00\x10\x00\x00"
	for name, test := range map[string]struct {
		patches map[int64]string
		want    string
	}{
		"blank":                  {nil, ""},
		"LUKS1":                  {map[int64]string{0: luks1}, "LUKS1"},
		"LUKS2":                  {map[int64]string{0: luks2, 0x4000: second}, "LUKS2"},
		"LUKS2, large header":    {map[int64]string{0: luks2, 0x100000: second}, "LUKS2"},
		"LUKS2, first only":      {map[int64]string{0: luks2}, "LUKS2 (first copy only)"},
		"LUKS2, second only":     {map[int64]string{0x4000: second}, "LUKS2 (second copy only)"},
		"LVM2 in sector 1":       {map[int64]string{512: "LABELONE", 536: "LVM2 001"}, "LVM2"},
		"LVM2 in sector 3":       {map[int64]string{1536: "LABELONE", 1560: "LVM2 001"}, "LVM2"},
		"dm-integrity":           {map[int64]string{0: "integrt\x00\x04"}, "dm-integrity"},
		"dm-verity":              {map[int64]string{0: "verity\x00\x00"}, "dm-verity"},
		"BitLocker":              {map[int64]string{3: "-FVE-FS-"}, "BitLocker"},
		"bcache":                 {map[int64]string{4120: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"}, "bcache"},
		"bcachefs":               {map[int64]string{4120: "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"}, "bcachefs"},
		"Stratis":                {map[int64]string{516: "!Stra0tis\x86\xff\x02^\x41rh"}, "Stratis"},
		"BlueStore":              {map[int64]string{0: "bluestore block device\n"}, "BlueStore"},
		"zfs, first label":       {map[int64]string{(128 + 3) << 10: "\x0c\xb1\xba\x00\x00\x00\x00\x00"}, "zfs"},
		"zfs, last label":        {map[int64]string{-(64 << 10): "\x0c\xb1\xba\x00\x00\x00\x00\x00"}, "zfs"},
		"zfs, big-endian":        {map[int64]string{192 << 10: "\x00\x00\x00\x00\x00\xba\xb1\x0c"}, "zfs"},
		"md 1.2":                 {mdMember(4096, "\x01"), "md-raid (metadata 1.2)"},
		"md 1.1":                 {mdMember(0, "\x01"), "md-raid (metadata 1.1)"},
		"md 1.0":                 {mdMember(-8192, "\x01"), "md-raid (metadata 1.0)"},
		"md 0.90":                {mdMember(-65536, "\x00"), "md-raid (metadata 0.90)"},
		"Intel RAID":             {map[int64]string{-1024: "Intel Raid ISM Cfg Sig. 1.0"}, "Intel RAID"},
		"DDF RAID":               {map[int64]string{-512: "\xde\x11\xde\x11"}, "DDF RAID"},
		"ext2":                   {ext(0, 2), "ext2"},
		"ext3":                   {ext(4, 2), "ext3"},
		"ext4":                   {ext(4, 0x42), "ext4"},
		"ext4 without journal":   {ext(0, 0x40), "ext4"},
		"ext4 journal":           {ext(0, 8), "ext4 (journal device)"},
		"xfs":                    {map[int64]string{0: "XFSB"}, "xfs"},
		"btrfs":                  {map[int64]string{65600: "_BHRfS_M"}, "btrfs"},
		"swap":                   {map[int64]string{4086: "SWAPSPACE2"}, "swap (4096-byte pages)"},
		"swap, 64 KiB pages":     {map[int64]string{65526: "SWAPSPACE2"}, "swap (65536-byte pages)"},
		"hibernated":             {map[int64]string{4086: "S1SUSPEND\x00"}, "swap (4096-byte pages)"},
		"squashfs":               {map[int64]string{0: "hsqs"}, "squashfs"},
		"erofs":                  {map[int64]string{1024: "\xe2\xe1\xf5\xe0"}, "erofs"},
		"f2fs":                   {map[int64]string{1024: "\x10\x20\xf5\xf2"}, "f2fs"},
		"exfat":                  {map[int64]string{3: "EXFAT   ", 510: "\x55\xaa"}, "exfat"},
		"ntfs":                   {map[int64]string{3: "NTFS    ", 510: "\x55\xaa"}, "ntfs"},
		"vfat 32":                {map[int64]string{82: "FAT32   ", 510: "\x55\xaa"}, "vfat"},
		"vfat 12":                {map[int64]string{54: "FAT12   ", 510: "\x55\xaa"}, "vfat"},
		"iso9660":                {map[int64]string{32769: "CD001"}, "iso9660"},
		"udf":                    {map[int64]string{32769: "BEA01", 34817: "NSR03"}, "udf"},
		"reiserfs":               {map[int64]string{65588: "ReIsEr2Fs"}, "reiserfs"},
		"jfs":                    {map[int64]string{32768: "JFS1"}, "jfs"},
		"gfs2":                   {map[int64]string{65536: "\x01\x16\x19\x70\x00\x00\x00\x01"}, "gfs2"},
		"ocfs2":                  {map[int64]string{8192: "OCFSV2"}, "ocfs2"},
		"apfs":                   {map[int64]string{32: "NXSB"}, "apfs"},
		"nilfs2":                 {map[int64]string{1024: "\x02\x00\x00\x00\x00\x00\x34\x34"}, "nilfs2"},
		"hfsplus":                {map[int64]string{1024: "H+\x00\x04"}, "hfsplus"},
		"hfsplus, case":          {map[int64]string{1024: "HX\x00\x05"}, "hfsplus"},
		"GPT":                    {map[int64]string{510: "\x55\xaa", 512: "EFI PART"}, "GPT"},
		"GPT, 4096-byte sectors": {map[int64]string{4096: "EFI PART"}, "GPT"},
		"GPT, backup":            {map[int64]string{-512: "EFI PART"}, "GPT (backup header only)"},
		"GPT, backup, 4096":      {map[int64]string{-4096: "EFI PART"}, "GPT (backup header only)"},
		"MBR":                    {map[int64]string{446: partition, 510: "\x55\xaa"}, "MBR"},
		"MBR, empty":             {map[int64]string{510: "\x55\xaa"}, "MBR (no partitions)"},
		"not quite MBR":          {map[int64]string{446: "\x13", 510: "\x55\xaa"}, ""},
		"not quite ext":          {map[int64]string{1024 + 56: "\x53\xef"}, ""},
		"not quite nilfs2":       {map[int64]string{1030: "\x34\x34"}, ""},
		"not quite vfat":         {map[int64]string{82: "FAT32   "}, ""},
		"label in sector 4":      {map[int64]string{2048: "LABELONE", 2072: "LVM2 001"}, ""},
		"LUKS before GPT":        {map[int64]string{0: luks1, 512: "EFI PART"}, "LUKS1"},
	} {
		want := test.want
		if got := signature(t, image(test.patches)); want == "" {
			require.Zero(t, got, name)
		} else {
			require.Equal(t, want, got.String(), name)
		}
	}
}

func TestSignaturesListsAll(t *testing.T) {
	b := image(map[int64]string{0: "LUKS\xba\xbe\x00\x01", 4086: "SWAPSPACE2", -512: "EFI PART"})
	all, err := blockdev.Signatures(bytes.NewReader(b), imageSize)
	require.NoError(t, err)
	require.Equal(t, []blockdev.Found{{"LUKS1", ""}, {"swap", "4096-byte pages"}, {"GPT", "backup header only"}}, all)
}

// Old ciphertext is not taken for something.
func TestRandomBytesHaveNoSignature(t *testing.T) {
	source := rand.NewChaCha8([32]byte{1})
	found := 0
	b := make([]byte, imageSize)
	for range 40 {
		_, _ = source.Read(b) // cannot fail
		b[510], b[511] = 0x55, 0xaa
		b[1024+56], b[1024+57] = 0x53, 0xef
		b[1024+6], b[1024+7] = 0x34, 0x34
		if signature(t, b) != (blockdev.Found{}) {
			found++
		}
	}
	require.Zero(t, found)
}

func TestSignatureOfTinyDevices(t *testing.T) {
	for _, size := range []int{0, 1, 5, 6, 511, 512, 513, 1024, 4096, 65536, 262144} {
		require.Zero(t, signature(t, make([]byte, size)), "%d bytes", size)
	}
	require.Equal(t, "LUKS1", signature(t, []byte("LUKS\xba\xbe\x00\x01")).Name)
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestReadErrorsAreNotBlank(t *testing.T) {
	broken := errors.New("broken disk")
	_, err := blockdev.Signature(failing{broken}, imageSize)
	require.ErrorIs(t, err, broken)
}

// counting counts what is read.
type counting struct {
	*bytes.Reader
	read int
}

func (c *counting) ReadAt(b []byte, offset int64) (int, error) {
	c.read += len(b)
	return c.Reader.ReadAt(b, offset)
}

func TestSignatureReadsLittle(t *testing.T) {
	c := &counting{Reader: bytes.NewReader(make([]byte, 64<<20))}
	_, err := blockdev.Signatures(c, 64<<20)
	require.NoError(t, err)
	require.Less(t, c.read, 2<<20)
}

func FuzzSignature(f *testing.F) {
	f.Add([]byte("LUKS\xba\xbe\x00\x01"), uint64(8), uint64(0))
	f.Add(image(ext(4, 2))[:2048], uint64(imageSize), uint64(0))
	f.Add(binary.LittleEndian.AppendUint32(nil, 0xa92b4efc), uint64(1<<40), uint64(4096))
	f.Fuzz(func(t *testing.T, data []byte, size, offset uint64) {
		b := make([]byte, min(offset, 1<<16)+uint64(len(data)))
		copy(b[min(offset, 1<<16):], data)
		_, err := blockdev.Signatures(bytes.NewReader(b), size)
		require.NoError(t, err)
	})
}

package blockdev

import "fmt"

// File systems and swap. Sources: the superblock structures in the kernel's fs/
// and, for swap, mm/swapfile.c; ECMA-119 and ECMA-167; Microsoft's FAT and exFAT
// specifications; Apple's TN1150 and APFS reference.
func filesystems() []prober {
	return []prober{
		ext,
		magic("xfs", "XFSB", 0),
		magic("btrfs", "_BHRfS_M", 0x10040),
		swap,
		magic("squashfs", "hsqs", 0),
		magic("erofs", "\xe2\xe1\xf5\xe0", 1024),
		magic("f2fs", "\x10\x20\xf5\xf2", 1024),
		magic("exfat", "EXFAT   ", 3),
		magic("ntfs", "NTFS    ", 3),
		vfat,
		magic("iso9660", "CD001", 32769),
		magic("udf", "NSR02", 32769, 34817, 36865),
		magic("udf", "NSR03", 32769, 34817, 36865),
		magic("reiserfs", "ReIsEr2Fs", 65536+52, 8192+52),
		magic("reiserfs", "ReIsEr3Fs", 65536+52),
		magic("reiserfs", "ReIsErFs", 65536+52, 8192+52),
		magic("jfs", "JFS1", 32768),
		magic("gfs2", "\x01\x16\x19\x70\x00\x00\x00\x01", 65536),
		magic("ocfs2", "OCFSV2", 1024, 2048, 4096, 8192),
		magic("apfs", "NXSB", 32),
		nilfs2,
		hfsplus,
	}
}

// ext has a magic of 16 bits only, so other fields must be possible too.
func ext(i *image) (Found, bool) {
	const super = 1024
	const hasJournal, journalDevice = 0x4, 0x8
	const upToExt3 = 0x2 | 0x4 | 0x10 // filetype, recover, meta_bg
	const upToExt3ReadOnly = 0x1 | 0x2 | 0x4
	compatible, incompatible, readOnly := i.le32(super+92), i.le32(super+96), i.le32(super+100)
	journal := incompatible&journalDevice != 0
	possible := i.le16(super+56) == 0xef53 &&
		(journal || i.le32(super) != 0) && i.le32(super+4) != 0 && // inodes, blocks
		i.le32(super+24) <= 6 && // block size 1024 << n
		i.le32(super+76) <= 1 // revision
	if !possible {
		return Found{}, false
	}
	switch {
	case journal:
		return Found{"ext4", "journal device"}, true
	case incompatible&^upToExt3 != 0 || readOnly&^upToExt3ReadOnly != 0:
		return Found{Name: "ext4"}, true
	case compatible&hasJournal != 0:
		return Found{Name: "ext3"}, true
	}
	return Found{Name: "ext2"}, true
}

// swap ends its first page, whose size is that of the machine, with the magic.
func swap(i *image) (Found, bool) {
	for _, page := range []int64{4096, 8192, 16384, 32768, 65536} {
		for _, text := range []string{"SWAPSPACE2", "SWAP-SPACE", "S1SUSPEND\x00", "S2SUSPEND\x00"} {
			if i.has(page-10, text) {
				return Found{"swap", fmt.Sprintf("%d-byte pages", page)}, true
			}
		}
	}
	return Found{}, false
}

func vfat(i *image) (Found, bool) {
	if !i.has(510, bootMagic) {
		return Found{}, false
	}
	for _, kind := range []struct {
		at   int64
		text string
	}{{82, "FAT32   "}, {54, "FAT16   "}, {54, "FAT12   "}, {54, "FAT     "}} {
		if i.has(kind.at, kind.text) {
			return Found{Name: "vfat"}, true
		}
	}
	return Found{}, false
}

func nilfs2(i *image) (Found, bool) {
	return Found{Name: "nilfs2"}, i.le16(1024+6) == 0x3434 && i.le32(1024) == 2
}

func hfsplus(i *image) (Found, bool) {
	plain := i.has(1024, "H+") && i.be16(1026) == 4
	caseful := i.has(1024, "HX") && i.be16(1026) == 5
	return Found{Name: "hfsplus"}, plain || caseful
}

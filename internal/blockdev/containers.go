package blockdev

import "fmt"

// Formats that hold other things. Sources: LUKS1 and LUKS2 on-disk format;
// LVM2's label.h; dm-integrity.c and dm-verity of the kernel; bcache_ondisk.h;
// bcachefs_format.h; ZFS on-disk specification; Stratis and BlueStore sources.
func containers() []prober {
	return []prober{
		luks,
		lvm2,
		magic("dm-integrity", "integrt\x00", 0),
		magic("dm-verity", "verity\x00\x00", 0),
		magic("BitLocker", "-FVE-FS-", 3),
		magic("bcache", "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", 4096+24),
		magic("bcachefs", "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", 4096+24),
		magic("Stratis", "!Stra0tis\x86\xff\x02^\x41rh", 512+4, 9*512+4),
		magic("BlueStore", "bluestore block device", 0),
		zfs,
	}
}

const (
	luksMagic       = "LUKS\xba\xbe"
	luksSecondMagic = "SKUL\xba\xbe"
)

// A second LUKS2 header follows the first, whose sizes are these.
var luksSecondOffsets = []int64{
	0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000,
}

func luks(i *image) (Found, bool) {
	first := i.has(0, luksMagic)
	version := i.be16(6)
	if first && version != 2 {
		return Found{fmt.Sprintf("LUKS%d", version), ""}, true
	}
	second := false
	for _, offset := range luksSecondOffsets {
		second = second || i.has(offset, luksSecondMagic)
	}
	switch {
	case first && !second:
		return Found{"LUKS2", "first copy only"}, true
	case second && !first:
		return Found{"LUKS2", "second copy only"}, true
	}
	return Found{"LUKS2", ""}, first
}

// lvm2 looks at the four sectors in which the label may be.
func lvm2(i *image) (Found, bool) {
	for sector := int64(0); sector < 4; sector++ {
		if i.has(sector*512, "LABELONE") && i.has(sector*512+24, "LVM2 001") {
			return Found{Name: "LVM2"}, true
		}
	}
	return Found{}, false
}

// zfs looks for uberblocks, one in each KiB of the second half of the four
// labels of 256 KiB, two at each end.
func zfs(i *image) (Found, bool) {
	const label, half, uberblock, magic = 256 << 10, 128 << 10, 1 << 10, 0x00bab10c
	end := i.size / label * label
	for _, start := range []int64{0, label, end - 2*label, end - label} {
		for at := start + half; start >= 0 && at < start+label; at += uberblock {
			if i.le32(at) == magic && i.le32(at+4) == 0 || i.be32(at+4) == magic && i.be32(at) == 0 {
				return Found{Name: "zfs"}, true
			}
		}
	}
	return Found{}, false
}

package dm

import "fmt"

// Integrity keeps a tag beside each block of Device, or on MetaDevice. The
// superblock is at sector Offset.
//
// The kernel echoes every size in a live table, also those it chose: a live
// table equals Params only when JournalSectors, InterleaveSectors and
// BufferSectors are set, and in mode 'J' JournalWatermark and CommitTime.
// Source: drivers/md/dm-integrity.c, dm_integrity_ctr and dm_integrity_status.
type Integrity struct {
	Device            Device
	Offset            uint64
	TagSize           int  // bytes
	Mode              byte // 'J': journaled, 'D': direct writes
	BlockSize         int  // bytes
	FixPadding        bool
	JournalSectors    uint64 // 0: the kernel's default
	InterleaveSectors uint64 // 0: the kernel's default
	BufferSectors     uint64 // 0: the kernel's default
	JournalWatermark  uint64 // percent; 0: the kernel's default
	CommitTime        uint64 // milliseconds; 0: the kernel's default
	MetaDevice        *Device
}

// Kind returns "integrity".
func (Integrity) Kind() string { return "integrity" }

// Params returns the parameters; options in the order of the kernel's own.
func (t Integrity) Params() string {
	params := fmt.Sprintf("%v %d %d %c", t.Device, t.Offset, t.TagSize, t.Mode)
	if options := t.options(); len(options) > 0 {
		return params + optionList(options)
	}
	return params + " 0"
}

func (t Integrity) options() []string {
	var o []string
	number := func(name string, value uint64) {
		if value != 0 {
			o = append(o, fmt.Sprintf("%s:%d", name, value))
		}
	}
	if t.MetaDevice != nil {
		o = append(o, "meta_device:"+t.MetaDevice.String())
	}
	number("block_size", uint64(t.BlockSize))
	number("journal_sectors", t.JournalSectors)
	number("interleave_sectors", t.InterleaveSectors)
	number("buffer_sectors", t.BufferSectors)
	number("journal_watermark", t.JournalWatermark)
	number("commit_time", t.CommitTime)
	if t.FixPadding {
		o = append(o, "fix_padding")
	}
	return o
}

package dm

import (
	"bytes"
	"fmt"
	"strings"
)

// Integrity keeps a tag beside each block of Device, or on MetaDevice. The
// superblock is at sector Offset.
//
// A live table tells every size that its mode uses, also those that the kernel
// chose: it matches only where JournalSectors, InterleaveSectors and
// BufferSectors are set, and in mode 'J' JournalWatermark and CommitTime. Linux
// 6.12 and before also tell some that the mode does not use, 7.2 does not.
// Source: drivers/md/dm-integrity.c, dm_integrity_ctr and dm_integrity_status.
type Integrity struct {
	Device            Device
	Offset            uint64
	TagSize           int  // bytes
	Mode              byte // 'J': journaled, 'D': direct writes
	BlockSize         int  // bytes; 0 is 512
	FixPadding        bool
	JournalSectors    uint64 // 0: the kernel's default
	InterleaveSectors uint64 // 0: the kernel's default
	BufferSectors     uint64 // 0: the kernel's default
	JournalWatermark  uint64 // percent; 0: the kernel's default
	CommitTime        uint64 // milliseconds; 0: the kernel's default
	MetaDevice        Device // zero: none

	// Foreign are options of a live table that this package never loads,
	// separated by spaces, and without keys.
	Foreign string
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

// numberOption is an option with a number, left out where that is 0.
type numberOption struct {
	name  string
	value *uint64
}

func (t *Integrity) numbers() []numberOption {
	return []numberOption{
		{"journal_sectors", &t.JournalSectors},
		{"interleave_sectors", &t.InterleaveSectors},
		{"buffer_sectors", &t.BufferSectors},
		{"journal_watermark", &t.JournalWatermark},
		{"commit_time", &t.CommitTime},
	}
}

func (t *Integrity) flags() []flagOption { return []flagOption{{"fix_padding", &t.FixPadding}} }

func (t Integrity) options() []string {
	var o []string
	if t.MetaDevice != (Device{}) {
		o = append(o, "meta_device:"+t.MetaDevice.String())
	}
	if t.BlockSize != 0 {
		o = append(o, fmt.Sprintf("block_size:%d", t.BlockSize))
	}
	for _, n := range t.numbers() {
		if *n.value != 0 {
			o = append(o, fmt.Sprintf("%s:%d", n.name, *n.value))
		}
	}
	return append(append(o, setFlags(t.flags())...), strings.Fields(t.Foreign)...)
}

// parseIntegrity reads "<device> <offset> <tag size> <mode>" and options.
func parseIntegrity(params []byte) (t Integrity, err error) {
	w := wordsOf(withoutKeys(bytes.Fields(params)))
	t.Device = w.device()
	t.Offset = w.number()
	if !setInt(&t.TagSize, w.next()) {
		w.fail("no size of a tag")
	}
	mode := w.next()
	if len(mode) != 1 || mode[0] < 'A' || mode[0] > 'Z' {
		w.fail("mode %q, want one capital letter", mode)
		return Integrity{}, w.err
	}
	t.Mode = mode[0]
	t.Foreign = w.options(t.flags(), t.parseOption)
	return t, w.err
}

func (t *Integrity) parseOption(name, value string) bool {
	switch name {
	case "meta_device":
		device, err := ParseDevice(value)
		t.MetaDevice = device
		return err == nil && device != Device{}
	case "block_size":
		return setInt(&t.BlockSize, value)
	}
	for _, n := range t.numbers() {
		if n.name == name {
			return setUint(n.value, value)
		}
	}
	return false
}

// withoutKeys cuts the key off "internal_hash:ALGORITHM:KEY" and the like.
func withoutKeys(words [][]byte) [][]byte {
	for i, word := range words {
		parts := bytes.SplitN(word, []byte(":"), 3)
		if len(parts) == 3 && string(parts[0]) != "meta_device" {
			words[i] = word[:len(parts[0])+1+len(parts[1])]
		}
	}
	return words
}

// normal spells defaults out, and leaves out what the mode does not use where the
// kernel did not tell it.
func (t Integrity) normal(told Integrity) Integrity {
	if t.BlockSize == 0 {
		t.BlockSize = 512
	}
	if t.Mode == 'J' {
		return t
	}
	unused := func(mine *uint64, told uint64) {
		if told == 0 {
			*mine = 0
		}
	}
	unused(&t.JournalSectors, told.JournalSectors)
	unused(&t.JournalWatermark, told.JournalWatermark)
	unused(&t.CommitTime, told.CommitTime)
	return t
}

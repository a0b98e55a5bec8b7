package integrity

import (
	"fmt"
	"strings"
)

// Rules that a superblock can break, for Violation.Rule.
const (
	RuleZeroed      = "superblock.zeroed"      // all zero: the kernel would format anew
	RuleMagic       = "superblock.magic"       // something else is there
	RuleVersion     = "superblock.version"     // 4 is expected
	RuleInterleave  = "superblock.interleave"  // 2^15 sectors
	RuleTagSize     = "superblock.tag-size"    // 32 bytes
	RuleJournal     = "superblock.journal"     // sections of the journal
	RuleProvided    = "superblock.provided"    // data sectors, from the device's size
	RuleFlags       = "superblock.flags"       // fixed padding and nothing else
	RuleBlockSize   = "superblock.block-size"  // 4096 bytes
	RuleBitmap      = "superblock.bitmap"      // the number that the kernel computes
	RuleRecalculate = "superblock.recalculate" // 0
	RuleReserved    = "superblock.reserved"    // padding, salt and rest are zero
)

// Violation is one way in which a superblock differs from the right one.
type Violation struct {
	Rule   string `json:"rule"`   // stable name, such as "superblock.flags"
	Detail string `json:"detail"` // what was found and what was expected
}

// String returns rule and detail on one line.
func (v Violation) String() string { return v.Rule + ": " + v.Detail }

// Check compares a superblock with the one of a layout and returns every
// violation, none when all bytes are equal.
func (s Superblock) Check(l Layout) []Violation {
	want := l.Superblock()
	switch {
	case s == want:
		return nil
	case s.zero():
		return []Violation{{RuleZeroed, "all zero, which the kernel takes for a new device"}}
	case !s.HasMagic():
		return []Violation{{RuleMagic, fmt.Sprintf("%q, want %q", s.Magic[:], want.Magic[:])}}
	}
	var found []Violation
	number := func(rule string, got, want uint64) {
		if got != want {
			found = append(found, Violation{rule, fmt.Sprintf("%d, want %d", got, want)})
		}
	}
	number(RuleVersion, uint64(s.Version), uint64(want.Version))
	number(RuleInterleave, uint64(s.Log2InterleaveSectors), uint64(want.Log2InterleaveSectors))
	number(RuleTagSize, uint64(s.TagSize), uint64(want.TagSize))
	number(RuleJournal, uint64(s.JournalSections), uint64(want.JournalSections))
	number(RuleProvided, s.ProvidedSectors, want.ProvidedSectors)
	if s.Flags != want.Flags {
		found = append(found, Violation{RuleFlags, fmt.Sprintf("%s, want %s", flagNames(s.Flags), flagNames(want.Flags))})
	}
	number(RuleBlockSize, uint64(s.Log2SectorsPerBlock), uint64(want.Log2SectorsPerBlock))
	number(RuleBitmap, uint64(s.Log2BlocksPerBitmapBit), uint64(want.Log2BlocksPerBitmapBit))
	number(RuleRecalculate, s.RecalculateSector, want.RecalculateSector)
	if s.Padding != want.Padding || s.Padding2 != want.Padding2 || s.Salt != want.Salt || s.Rest != want.Rest {
		found = append(found, Violation{RuleReserved, "bytes set where zeros belong"})
	}
	return found
}

// flagNames spells flags out: 0x8 is "fixed-padding".
func flagNames(flags uint32) string {
	known := []struct {
		bit  uint32
		name string
	}{
		{flagJournalMAC, "journal-mac"},
		{flagRecalculating, "recalculating"},
		{flagDirtyBitmap, "dirty-bitmap"},
		{flagFixedPadding, "fixed-padding"},
		{flagFixedHMAC, "fixed-hmac"},
	}
	var names []string
	for _, k := range known {
		if flags&k.bit != 0 {
			names = append(names, k.name)
			flags &^= k.bit
		}
	}
	if flags != 0 || len(names) == 0 {
		names = append(names, fmt.Sprintf("%#x", flags))
	}
	return strings.Join(names, "+")
}

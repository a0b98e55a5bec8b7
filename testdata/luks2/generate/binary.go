package main

import (
	"fmt"
	"math"
	"strings"
)

// binaryMutations change a field of the binary headers, in both copies.
func binaryMutations() []mutation {
	m := []mutation{
		{name: "magic-both", about: "no magic at all", rules: "header.none", change: both(field(offMagic, 6, "LUKX\xba\xbe"))},
		{name: "magic-swapped", about: "each copy has the other's magic", rules: "header.none", change: func(i *image) {
			copy(i.at(0), "SKUL")
			copy(i.at(1), "LUKS")
			i.sum()
		}},
		{name: "magic-first-damaged", about: "cryptsetup would repair the first copy from the second", rules: "binary.magic", change: one(0, func(b []byte) { b[0] = 0 })},
		{name: "magic-second-damaged", about: "cryptsetup would repair the second copy from the first", rules: "binary.magic", change: one(1, func(b []byte) { b[5] = 0 })},
		{name: "version-second", about: "the second copy has version 3", rules: "binary.version", change: one(1, func(b []byte) { b[7] = 3 })},
		{name: "seqid-max", about: "a sequence number that leaves no room for another header", rules: "binary.seqid", change: both(u64(offSeqID, math.MaxUint64))},
		{name: "label-hidden", about: "a label behind a NUL", rules: "binary.label", change: both(field(offLabel, 48, "\x00hidden"))},
		{name: "label-full", about: "a label that fills its field, of which cryptsetup cuts the last byte", rules: "binary.label", change: both(field(offLabel, 48, strings.Repeat("x", 48)))},
		{name: "label-first", about: "only the first copy has a label", rules: "copies.label", change: one(0, func(b []byte) { field(offLabel, 48, "backup")(b, 0) })},
		{name: "label-second", about: "only the second copy has a label", rules: "copies.label", change: one(1, func(b []byte) { field(offLabel, 48, "backup")(b, 1) })},
		{name: "label-hidden-second", about: "a label behind a NUL in the second copy", rules: "binary.label copies.label", change: one(1, func(b []byte) { field(offLabel, 48, "\x00hidden")(b, 1) })},
		{name: "subsystem-hidden", about: "a subsystem behind a NUL", rules: "binary.subsystem", change: both(field(offSubsystem, 48, "ID_FS=1\x00hidden"))},
		{name: "subsystem-full", about: "a subsystem that fills its field", rules: "binary.subsystem", change: both(field(offSubsystem, 48, strings.Repeat("x", 48)))},
		{name: "subsystem-second", about: "only the second copy has a subsystem", rules: "copies.subsystem", change: one(1, func(b []byte) { field(offSubsystem, 48, "ID_FS=1")(b, 1) })},
		{name: "csum-alg-trailing", about: "bytes behind the name of the checksum", rules: "binary.csum_alg", change: both(field(offCsumAlg, 32, "sha256\x00x"))},
		{name: "padding", about: "a byte in the padding before the checksum", rules: "binary.padding", change: both(func(b []byte, _ int) { b[offCsum-1] = 1 })},
		{name: "padding-4k", about: "a byte in the padding behind the checksum", rules: "binary.padding", change: both(func(b []byte, _ int) { b[binarySize-1] = 1 })},
		{name: "padding-second", about: "a byte in the padding of the second copy", rules: "binary.padding", change: one(1, func(b []byte) { b[offPadding4K] = 1 })},
		{name: "uuid-second", about: "the second copy has another UUID", rules: "copies.uuid", change: one(1, func(b []byte) { b[offUUID] ^= 1 })},
		{name: "hdr-offset-first", about: "the first copy says that it is the second", rules: "binary.hdr_offset", change: one(0, func(b []byte) { u64(offHdrOffset, copySize)(b, 0) })},
		{name: "hdr-offset-second", about: "the second copy says that it is the first", rules: "binary.hdr_offset", change: one(1, func(b []byte) { u64(offHdrOffset, 0)(b, 1) })},
		{name: "hdr-offset-far", about: "the second copy says that it is elsewhere", rules: "binary.hdr_offset", change: one(1, func(b []byte) { u64(offHdrOffset, 32768)(b, 1) })},
	}
	for _, v := range []uint16{0, 1, 3, 0x0200, 0xffff} {
		m = append(m, mutation{name: fmt.Sprintf("version-%d", v), about: "another version of LUKS", rules: "binary.version", change: both(u16(offVersion, v))})
	}
	for _, v := range []uint64{0, 4096, 12288, 16383, 32768, 4 << 20, 1 << 32, math.MaxUint64} {
		m = append(m, mutation{name: fmt.Sprintf("hdr-size-%d", v), about: "another size of a copy", rules: "binary.hdr_size", change: both(u64(offHdrSize, v))})
	}
	for _, alg := range []string{"", "sha1", "sha512", "SHA256", "crc32", "sha256 "} {
		m = append(m, mutation{name: "csum-alg-" + slug(alg), about: "another checksum: " + alg, rules: "binary.csum_alg", change: both(field(offCsumAlg, 32, alg))})
	}
	return append(m, uuidMutations()...)
}

func uuidMutations() []mutation {
	var m []mutation
	for name, id := range map[string]string{
		"empty":      "",
		"nil":        "00000000-0000-0000-0000-000000000000",
		"upper-case": "8F0C5D0E-5F0B-4F0A-9D5E-3D2C1B0A9F8E",
		"braces":     "{8f0c5d0e-5f0b-4f0a-9d5e-3d2c1b0a9f8e}",
		"dashless":   "8f0c5d0e5f0b4f0a9d5e3d2c1b0a9f8e",
		"short":      "8f0c5d0e-5f0b-4f0a-9d5e-3d2c1b0a9f8",
		"not-hex":    "8f0c5d0e-5f0b-4f0a-9d5e-3d2c1b0a9f8g",
		"trailing":   "8f0c5d0e-5f0b-4f0a-9d5e-3d2c1b0a9f8e\x00x",
		"full":       strings.Repeat("a", 40),
		"path":       "../../../../dev/mapper/other",
		"dm-name":    "8f0c5d0e-5f0b-4f0a-9d5e-3d2c1b0a9f8e -x",
		"terminal":   "\x1b[31m\x1b]0;owned\x07",
	} {
		m = append(m, mutation{name: "uuid-" + name, about: "not a UUID as cryptsetup spells it", rules: "binary.uuid", change: both(field(offUUID, 40, id))})
	}
	return m
}

// slug makes a part of a file name.
func slug(s string) string {
	if s == "" {
		return "empty"
	}
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, s)
}

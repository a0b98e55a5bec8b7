package main

import "fmt"

// segmentMutations choose another cipher, place or integrity of the data.
func segmentMutations() []mutation {
	const integrity = `,"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"}`
	m := []mutation{
		{name: "integrity-removed", about: "no integrity: the guest would write without tags", rules: "segment.integrity", change: swap(integrity, "")},
		{name: "integrity-removed-any", about: "no integrity, read with the rule any: the key is of the wrong size", integrity: "any", rules: "keyslot.area.offset keyslot.area.size keyslot.key_size",
			base: "ours-hmac-two", change: swap(integrity, "")},
		{name: "integrity-added", about: "integrity where there was none", base: "ours-plain", rules: "segment.integrity", change: swap(segmentCipher, segmentCipher+integrity)},
		{name: "integrity-null", about: "null instead of an integrity object", rules: "segment.integrity", change: swap(integrity, `,"integrity":null`)},
		{name: "integrity-string", about: "a string instead of an integrity object", rules: "segment.integrity", change: swap(integrity, `,"integrity":"hmac(sha256)"`)},
		{name: "integrity-key-size-twice", about: "two sizes of the integrity key", rules: "json.duplicate-key", change: swap(`"journal_integrity":"none"`, `"journal_integrity":"none","key_size":32,"key_size":64`)},
		{name: "integrity-key-size-case", about: "the size of the integrity key in another case", rules: "json.wrong-case-key", change: swap(`"journal_integrity":"none"`, `"journal_integrity":"none","Key_size":32`)},
		{name: "integrity-journal-encryption", about: "a key that is not in the volume key", rules: "segment.integrity.journal_encryption", change: swap(`"journal_encryption":"none"`, `"journal_encryption":"ctr(aes)"`)},
		{name: "integrity-journal-integrity", about: "a key that is not in the volume key", rules: "segment.integrity.journal_integrity", change: swap(`"journal_integrity":"none"`, `"journal_integrity":"hmac(sha256)"`)},
		{name: "other-integrity-wanted", about: "a volume with integrity, read by one who wants none", integrity: "none", rules: "segment.integrity keyslot.area.size keyslot.key_size",
			change: func(*image) {}},
		{name: "segment-type-linear", about: "data that is not encrypted", rules: "segment.type", change: swap(`"type":"crypt"`, `"type":"linear"`)},
		{name: "segment-none", about: "no segments", rules: "segment.id", change: cut(`"tokens":{},"segments":`, `,"digests"`, "{}")},
		{name: "segment-list", about: "a list of segments", rules: "segment", change: cut(`"tokens":{},"segments":`, `,"digests"`, "[]")},
		{name: "segment-null", about: "null instead of a segment", rules: "segment", change: cut(`"segments":{"0":`, `},"digests"`, "null")},
		{name: "segment-id-1", about: "the segment has another number", rules: "segment.id", change: swap(`"segments":{"0":`, `"segments":{"1":`)},
		{name: "segment-two", about: "a second segment, not encrypted", rules: "segment.id", change: swap(`"segments":{"0":`, `"segments":{"1":{"type":"linear","offset":"16777216","size":"dynamic"},"0":`)},
		{name: "segment-flags", about: "flags of a re-encryption", rules: "segment.flags", change: swap(segmentCipher, segmentCipher+`,"flags":["in-reencryption"]`)},
		{name: "segment-flags-empty", about: "no flags, but spelled", rules: "segment.flags", change: swap(segmentCipher, segmentCipher+`,"flags":[]`)},
	}
	for i, v := range []string{"0", "1", "16", "31", "33", "64", "96", "4294967328", "-32", "32.0", "3.2e1", `"32"`, "null", "[]", "{}"} {
		m = append(m, mutation{name: fmt.Sprintf("integrity-key-size-%02d", i), about: "the size of the integrity key: " + v, rules: "segment.integrity.key_size",
			change: swap(`"journal_integrity":"none"`, `"journal_integrity":"none","key_size":`+v)})
	}
	for i, c := range ciphers {
		m = append(m, mutation{name: fmt.Sprintf("segment-cipher-%02d-%s", i, slug(c)), about: "the cipher of the data: " + c, rules: "segment.encryption",
			change: swap(segmentCipher, `"encryption":"`+c+`","sector_size":4096`)})
	}
	for i, c := range ciphers[:4] {
		m = append(m, mutation{name: fmt.Sprintf("segment-plain-cipher-%02d-%s", i, slug(c)), about: "the cipher of data without integrity: " + c, base: "ours-plain", rules: "segment.encryption",
			change: swap(segmentCipher, `"encryption":"`+c+`","sector_size":4096`)})
	}
	m = append(m, numbers("segment-sector", `"sector_size":%s`, "4096", "segment.sector_size", "0", "1", "512", "1024", "4095", "8192", "65536", "-4096", "4294971392", `"4096"`, "4096.0")...)
	m = append(m, numbers("segment-offset", `"offset":"%s","size":"dynamic"`, "16777216", "segment.offset", "0", "4096", "32768", "16777215", "16777728", "16781312", "33554432", "18446744073709551615", "18446744073726328832", "016777216", "+16777216", "")...)
	m = append(m, numbers("segment-size", `"size":"%s","iv_tweak"`, "dynamic", "segment.size", "0", "4096", "8388608", "18446744073709551615", "DYNAMIC", "")...)
	m = append(m, numbers("segment-tweak", `"iv_tweak":"%s"`, "0", "segment.iv_tweak", "1", "32768", "18446744073709551615", "00", "-1", "")...)
	return append(m, numbers("integrity-type", `"integrity":{"type":"%s"`, "hmac(sha256)", "segment.integrity.type", "none", "", "hmac(sha1)", "hmac(sha512)", "poly1305", "aead", "crc32c", "hmac(sha256):32")...)
}

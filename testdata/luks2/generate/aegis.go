package main

import "fmt"

// aegisMutations change a volume with aegis128-random, or make one of two kinds.
func aegisMutations() []mutation {
	const (
		cipher    = `"encryption":"aegis128-random","sector_size":4096`
		integrity = `"integrity":{"type":"aead","journal_encryption":"none","journal_integrity":"none"}`
		hmac      = `"integrity":{"type":"hmac(sha256)","journal_encryption":"none","journal_integrity":"none"}`
	)
	m := []mutation{
		{name: "wanted-hmac", about: "aegis128-random, read by one who wants aes-xts and hmac", integrity: "hmac-sha256", rules: "profile.cipher", change: func(*image) {}},
		{name: "wanted-none", about: "aegis128-random, read by one who wants no integrity", integrity: "none", rules: "profile.cipher", change: func(*image) {}},
		{name: "hmac-wanted", about: "aes-xts with hmac, read by one who wants aegis128-random", base: "ours-hmac", integrity: "aead", rules: "profile.cipher", change: func(*image) {}},
		{name: "plain-wanted", about: "aes-xts alone, read by one who wants aegis128-random", base: "ours-plain", integrity: "aead", rules: "profile.cipher", change: func(*image) {}},
		{name: "mixed-cipher", about: "the cipher of the other profile", rules: "keyslot.area.offset keyslot.area.size keyslot.area.truncated keyslot.key_size segment.integrity.type", integrity: "any", base: "ours-aegis-two", change: swap(cipher, segmentCipher)},
		{name: "mixed-cipher-of-ours", about: "aegis128-random with all else of aes-xts", rules: "keyslot.area.offset keyslot.area.size keyslot.key_size segment.integrity.type", integrity: "any", base: "ours-hmac-two", change: swap(segmentCipher, cipher)},
		{name: "mixed-cipher-of-plain", about: "aegis128-random without its tags", rules: "keyslot.area.size keyslot.key_size segment.integrity", integrity: "any", base: "ours-plain", change: swap(segmentCipher, cipher)},
		{name: "mixed-integrity", about: "the integrity of the other profile", rules: "segment.integrity.type", change: swap(integrity, hmac)},
		{name: "mixed-integrity-of-ours", about: "aes-xts with the integrity of the other profile, which would be none", rules: "segment.integrity.type", base: "ours-hmac", integrity: "hmac-sha256", change: swap(hmac, integrity)},
		{name: "mixed-segment", about: "a whole segment of the other profile", rules: "keyslot.area.size keyslot.area.truncated keyslot.key_size", integrity: "any", change: swap(cipher+","+integrity, segmentCipher+","+hmac)},
		{name: "mixed-segment-of-ours", about: "a whole segment of the other profile", rules: "keyslot.area.size keyslot.key_size", integrity: "any", base: "ours-hmac", change: swap(segmentCipher+","+hmac, cipher+","+integrity)},
		{name: "mixed-key-slot", about: "a whole key slot of the other profile", rules: "keyslot.area.size keyslot.key_size",
			change: steps(swap(`"key_size":16,`, `"key_size":96,`), swap(`"size":"65536"`, `"size":"385024"`))},
		{name: "integrity-removed", about: "no integrity: the nonces would be nowhere", rules: "segment.integrity", change: swap(","+integrity, "")},
		{name: "integrity-key-size", about: "a size of an integrity key, of which there is none", rules: "segment.integrity.key_size", change: swap(`"journal_integrity":"none"`, `"journal_integrity":"none","key_size":16`)},
		{name: "size-only", about: "the size of another key", base: "ours-aegis-size-only", rules: "keyslot.key_size", change: swap(`"key_size":16`, `"key_size":96`)},
	}
	for i, c := range append([]string{"aegis128-plain64", "aegis128-plain", "aegis128-null", "aegis128", "aegis128l-random", "aegis256-random", "aes-gcm-random",
		"chacha20-random", "AEGIS128-RANDOM", "capi:aegis128-random", "capi:aegis128-plain64", "aes-xts-random"}, ciphers[:4]...) {
		m = append(m, mutation{name: fmt.Sprintf("cipher-%02d-%s", i, slug(c)), about: "the cipher of the data: " + c, rules: "segment.encryption",
			change: swap(cipher, `"encryption":"`+c+`","sector_size":4096`)})
	}
	m = append(m, numbers("integrity-type", `"integrity":{"type":"%s"`, "aead", "segment.integrity.type", "none", "", "AEAD", "poly1305", "aead:32")...)
	m = append(m, numbers("keysize", `"type":"luks2","key_size":%s,`, "16", "keyslot.key_size", "0", "15", "17", "32", "64", "4294967312", "-16", `"16"`)...)
	m = append(m, numbers("area-size", `"size":"%s","encryption":"aes-xts-plain64","key_size"`, "65536", "keyslot.area.size", "0", "64000", "65535", "258048", "18446744073709551615")...)
	m = append(m, numbers("area-offset", `"offset":"%s","size":"65536"`, "32768", "keyslot.area.offset", "0", "16384", "65536", "417792", "557056")...)
	for i := range m {
		m[i].name = "aegis-" + m[i].name
		if m[i].base == "" {
			m[i].base = "ours-aegis"
		}
	}
	return m
}

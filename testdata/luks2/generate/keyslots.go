package main

import (
	"fmt"
	"strings"
)

// ciphers are what hosts have put in the place of aes-xts-plain64.
var ciphers = []string{
	"cipher_null-ecb", "cipher_null", "null", "", "aes", "aes-xts-plain", "aes-xts-random", "aes-ecb", "aes-cbc-null",
	"aes-cbc-essiv:sha256", "AES-XTS-PLAIN64", "aes-xts-plain64 ", "serpent-xts-plain64", "capi:xts(aes)-plain64",
	"capi:xts(ecb(aes-generic))-plain64", "capi:ecb(cipher_null)-plain64", "aes-xts-plain64 :0: 0 /dev/vdb 0",
}

func keyslotMutations() []mutation {
	m := []mutation{
		{name: "keyslot-id-8", about: "a key slot number that is too high", rules: "digest.keyslots keyslot.id", change: swap(`"keyslots":{"0":`, `"keyslots":{"8":`)},
		{name: "keyslot-id-31", about: "a key slot number that cryptsetup takes", rules: "digest.keyslots keyslot.id", change: swap(`"keyslots":{"0":`, `"keyslots":{"31":`)},
		{name: "keyslot-id-00", about: "another spelling of 0", rules: "digest.keyslots keyslot.id", change: swap(`"keyslots":{"0":`, `"keyslots":{"00":`)},
		{name: "keyslot-id-negative", about: "a negative key slot number", rules: "digest.keyslots keyslot.id", change: swap(`"keyslots":{"0":`, `"keyslots":{"-1":`)},
		{name: "keyslot-id-word", about: "a key slot that is not numbered", rules: "digest.keyslots keyslot.id", change: swap(`"keyslots":{"0":`, `"keyslots":{"a":`)},
		{name: "keyslot-renumbered", about: "a key slot that the digest does not know", rules: "digest.keyslots", change: swap(`"keyslots":{"0":`, `"keyslots":{"3":`)},
		{name: "keyslot-type-reencrypt", about: "a re-encryption key slot", rules: "keyslot.type", change: swap(`"type":"luks2"`, `"type":"reencrypt"`)},
		{name: "keyslot-null", about: "null instead of a key slot", rules: "keyslot", change: cut(`"keyslots":{"0":`, `},"tokens"`, "null")},
		{name: "keyslots-list", about: "a list of key slots", rules: "digest.keyslots keyslot", change: cut(`{"keyslots":`, `,"tokens"`, "[]")},
		{name: "keyslot-area-list", about: "a list instead of an area", rules: "keyslot.area", change: cut(`"area":`, `,"kdf"`, "[]")},
		{name: "keyslot-af-null", about: "null instead of an anti-forensic filter", rules: "keyslot.af", change: cut(`"af":`, `,"area"`, "null")},
		{name: "keyslot-area-type", about: "an area of another type", rules: "keyslot.area.type", change: swap(`"type":"raw"`, `"type":"journal"`)},
		{name: "keyslot-af-type", about: "no anti-forensic filter", rules: "keyslot.af.type", change: swap(`"type":"luks1"`, `"type":"none"`)},
		{name: "keyslot-af-hash", about: "another hash of the filter", rules: "keyslot.af.hash", change: swap(`"stripes":4000,"hash":"sha256"`, `"stripes":4000,"hash":"sha1"`)},
		{name: "null-cipher-both", about: "null cipher in the segment and the key slot (CVE-2025-59054): the host knows the key and reads what is written", rules: "keyslot.area.encryption segment.encryption",
			change: text(func(s string) string { return strings.ReplaceAll(s, "aes-xts-plain64", "cipher_null-ecb") })},
		{name: "area-same", about: "two key slots in one area", base: "ours-hmac-two", rules: "keyslot.area.overlap", change: swap(`"offset":"417792"`, `"offset":"32768"`)},
		{name: "area-overlap", about: "two key slots whose areas overlap in part", base: "ours-hmac-two", rules: "keyslot.area.offset", change: swap(`"offset":"417792"`, `"offset":"413696"`)},
	}
	for i, c := range ciphers {
		m = append(m, mutation{name: fmt.Sprintf("keyslot-cipher-%02d-%s", i, slug(c)), about: "the cipher of a key slot: " + c, rules: "keyslot.area.encryption",
			change: swap(`"encryption":"aes-xts-plain64","key_size":64`, `"encryption":"`+c+`","key_size":64`)})
	}
	m = append(m, numbers("keyslot-keysize", `"type":"luks2","key_size":%s,`, "96", "keyslot.key_size", "0", "1", "32", "64", "95", "97", "128", "4294967392", "-96", "96.0", "9.6e1", `"96"`, "null", "true")...)
	m = append(m, numbers("keyslot-area-keysize", `"aes-xts-plain64","key_size":%s}`, "64", "keyslot.area.key_size", "0", "16", "32", "63", "128", `"64"`)...)
	m = append(m, numbers("keyslot-stripes", `"stripes":%s,`, "4000", "keyslot.af.stripes", "0", "1", "3999", "4001", "4294967295", `"4000"`)...)
	m = append(m, numbers("area-offset", `"offset":"%s","size":"385024"`, "32768", "keyslot.area.offset", "0", "512", "4096", "16384", "32767", "32769", "33280", "36864",
		"3112960", "16777216", "16392192", "18446744073709551615", "9223372036854775808", "18446744073709584384", "032768", " 32768", "0x8000", "-1", "32768.0", "")...)
	m = append(m, numbers("area-size", `"size":"%s","encryption":"aes-xts-plain64","key_size"`, "385024", "keyslot.area.size", "0", "1", "384000", "258048", "770048", "134217728", "18446744073709551615", "0385024", "")...)
	for i, p := range []string{"0", "1", "2", `"1"`} {
		m = append(m, mutation{name: fmt.Sprintf("keyslot-priority-%d", i), about: "a priority: " + p, rules: "keyslot.priority", change: swap(`}}},"tokens"`, `},"priority":`+p+`}},"tokens"`)})
	}
	return m
}

// numbers puts each of the values in the place of the right one.
func numbers(name, pattern, right, rule string, values ...string) []mutation {
	var m []mutation
	for i, v := range values {
		about := "instead of " + right + ": " + v
		m = append(m, mutation{name: fmt.Sprintf("%s-%02d-%s", name, i, slug(v)), about: about, rules: rule,
			change: swap(strings.Replace(pattern, "%s", right, 1), strings.Replace(pattern, "%s", v, 1))})
	}
	return m
}

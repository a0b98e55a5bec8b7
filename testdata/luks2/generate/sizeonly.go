package main

// sizeOnlyMutations change the entry of a header without key slots that says the
// key's size.
func sizeOnlyMutations() []mutation {
	const (
		entry  = `{"type":"trusted-store-ephemeral","key_size":96,"priority":0,"area":{"type":"none","offset":"32768","size":"4096"}}`
		covers = `"keyslots":["0"],"segments":["0"]`
	)
	m := []mutation{
		{name: "other-id", about: "another number", rules: "keyslot.type", change: steps(swap(`"keyslots":{"0":`, `"keyslots":{"1":`), swap(covers, `"keyslots":["1"],"segments":["0"]`))},
		{name: "no-digest", about: "a digest that does not know it", rules: "digest.keyslots", change: swap(covers, `"keyslots":[],"segments":["0"]`)},
		{name: "twice", about: "two of them", rules: "keyslot.type", change: steps(swap(`"keyslots":{"0":`, `"keyslots":{"1":`+entry+`,"0":`), swap(covers, `"keyslots":["0","1"],"segments":["0"]`))},
		{name: "beside", about: "beside a key slot", base: "ours-hmac", rules: "keyslot.type", change: steps(swap(`"keyslots":{"0":`, `"keyslots":{"1":`+entry+`,"0":`), swap(covers, `"keyslots":["0","1"],"segments":["0"]`))},
		{name: "type-case", about: "its type in another case", rules: "keyslot.type", change: swap(`"trusted-store-ephemeral"`, `"Trusted-Store-Ephemeral"`)},
		{name: "type-luks2", about: "a key slot without a key in it", rules: "keyslot.af keyslot.area.type keyslot.kdf keyslot.priority", change: swap(`"trusted-store-ephemeral"`, `"luks2"`)},
		{name: "type-twice", about: "two types", rules: "json.duplicate-key", change: swap(`"type":"trusted-store-ephemeral"`, `"type":"trusted-store-ephemeral","type":"luks2"`)},
		{name: "kdf", about: "a key derivation", rules: "json.unknown-key", change: swap(`"priority":0`, `"priority":0,"kdf":{"type":"pbkdf2","hash":"sha256","iterations":1000,"salt":""}`)},
		{name: "af", about: "an anti-forensic filter", rules: "json.unknown-key", change: swap(`"priority":0`, `"priority":0,"af":{"type":"luks1","stripes":4000,"hash":"sha256"}`)},
		{name: "encryption", about: "a cipher", rules: "json.unknown-key", change: swap(`"size":"4096"`, `"size":"4096","encryption":"aes-xts-plain64"`)},
		{name: "area", about: "no area", rules: "keyslot.area", change: swap(`,"area":{"type":"none","offset":"32768","size":"4096"}`, "")},
		{name: "area-type", about: "an area of another type", rules: "keyslot.area.type", change: swap(`"type":"none"`, `"type":"raw"`)},
		{name: "priority", about: "no priority", rules: "keyslot.priority", change: swap(`"priority":0,`, "")},
		{name: "plain", about: "the size of a key with integrity in a volume without", base: "ours-plain-size-only", rules: "keyslot.key_size", change: swap(`"key_size":64`, `"key_size":96`)},
	}
	m = append(m, numbers("key-size", `"type":"trusted-store-ephemeral","key_size":%s`, "96", "keyslot.key_size", "0", "1", "32", "64", "95", "97", "128", "4294967392", "-96", `"96"`)...)
	m = append(m, numbers("priority", `"priority":%s`, "0", "keyslot.priority", "1", "2", "-1", "-0", "0.0", `"0"`, "null")...)
	m = append(m, numbers("area-offset", `"offset":"%s","size":"4096"`, "32768", "keyslot.area.offset", "0", "4096", "36864", "16777216", "032768")...)
	m = append(m, numbers("area-size", `"size":"%s"}}`, "4096", "keyslot.area.size", "0", "512", "385024", "16744448", "18446744073709551615")...)
	for i := range m {
		m[i].name = "size-only-" + m[i].name
		if m[i].base == "" {
			m[i].base = "ours-hmac-size-only"
		}
	}
	return m
}

package main

// otherMutations change the digest, the tokens and the configuration.
func otherMutations() []mutation {
	const covers = `"keyslots":["0"],"segments":["0"]`
	m := []mutation{
		{name: "digest-none", about: "no digest: any passphrase gives a key", rules: "digest.id", change: cut(`"digests":`, `,"config"`, "{}")},
		{name: "digest-list", about: "a list of digests", rules: "digest", change: cut(`"digests":`, `,"config"`, "[]")},
		{name: "digest-null", about: "null instead of a digest", rules: "digest", change: cut(`"digests":{"0":`, `},"config"`, "null")},
		{name: "digest-id-1", about: "the digest has another number", rules: "digest.id", change: swap(`"digests":{"0":`, `"digests":{"1":`)},
		{name: "digest-two", about: "a second digest", rules: "digest.id", change: swap(`"digests":{"0":`, `"digests":{"1":{"type":"pbkdf2"},"0":`)},
		{name: "digest-type", about: "a digest of another type", rules: "digest.type", change: swap(`"digests":{"0":{"type":"pbkdf2"`, `"digests":{"0":{"type":"none"`)},
		{name: "digest-hash", about: "another hash of the digest", rules: "digest.hash", change: swap(`"segments":["0"],"hash":"sha256"`, `"segments":["0"],"hash":"sha1"`)},
		{name: "digest-no-keyslots", about: "a key slot without a digest", rules: "digest.keyslots", change: swap(covers, `"keyslots":[],"segments":["0"]`)},
		{name: "digest-more-keyslots", about: "a digest of a key slot that does not exist", rules: "digest.keyslots", change: swap(covers, `"keyslots":["0","1"],"segments":["0"]`)},
		{name: "digest-keyslot-twice", about: "a digest of the same key slot twice", rules: "digest.keyslots", change: swap(covers, `"keyslots":["0","0"],"segments":["0"]`)},
		{name: "digest-keyslot-number", about: "a number instead of a name", rules: "digest.keyslots", change: swap(covers, `"keyslots":[0],"segments":["0"]`)},
		{name: "digest-no-segments", about: "a segment without a digest", rules: "digest.segments", change: swap(covers, `"keyslots":["0"],"segments":[]`)},
		{name: "digest-more-segments", about: "a digest of a segment that does not exist", rules: "digest.segments", change: swap(covers, `"keyslots":["0"],"segments":["0","1"]`)},
		{name: "digest-segments-joined", about: "one name that prints like two", rules: "digest.segments", change: swap(covers, `"keyslots":["0"],"segments":["0 0"]`)},
		{name: "token-keyring", about: "a token that asks the kernel's keyring", rules: "token", change: token(`"type":"luks2-keyring","keyslots":["0"],"key_description":"x"`)},
		{name: "token-tpm2", about: "a token that asks a TPM", rules: "token", change: token(`"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":""`)},
		{name: "token-unknown", about: "a token of an unknown type", rules: "token", change: token(`"type":"\u001b","keyslots":[]`), base: ""},
		{name: "token-untyped", about: "a token without a type", rules: "token", change: token(`"keyslots":[]`)},
		{name: "token-list", about: "a list of tokens", rules: "token", change: swap(`"tokens":{}`, `"tokens":[]`)},
		{name: "token-null", about: "null instead of tokens", rules: "token", change: swap(`"tokens":{}`, `"tokens":null`)},
		{name: "config-flags-no-journal", about: "a flag that turns the integrity journal off", rules: "config.flags", change: config(`"flags":["no-journal"]`)},
		{name: "config-flags-discards", about: "a flag that lets discards through", rules: "config.flags", change: config(`"flags":["allow-discards"]`)},
		{name: "config-flags-empty", about: "no flags, but spelled", rules: "config.flags", change: config(`"flags":[]`)},
		{name: "config-requirements-v2", about: "a forged re-encryption (CVE-2021-4122)", rules: "config.requirements", change: config(`"requirements":{"mandatory":["online-reencrypt-v2"]}`)},
		{name: "config-requirements-v1", about: "an offline re-encryption", rules: "config.requirements", change: config(`"requirements":{"mandatory":["offline-reencrypt"]}`)},
		{name: "config-requirements-unknown", about: "a requirement of the future", rules: "config.requirements", change: config(`"requirements":{"mandatory":["x"]}`)},
		{name: "config-requirements-empty", about: "no requirements, but spelled", rules: "config.requirements", change: config(`"requirements":{}`)},
		{name: "config-list", about: "a list instead of the configuration", rules: "config", change: text(func(s string) string {
			return s[:len(s)-len(`{"json_size":"12288","keyslots_size":"16744448"}}`)] + "[]}"
		})},
	}
	m[16].rules = "json.string token"
	m = append(m, numbers("digest-iterations", `"segments":["0"],"hash":"sha256","iterations":%s,`, "1000", "digest.iterations", "0", "1", "999", "10000001", "2147483648", "4294968296", "18446744073709551615", "-1", "1e3")...)
	m = append(m, numbers("config-json-size", `"json_size":"%s"`, "12288", "config.json_size", "0", "16384", "4190208", "18446744073709551615", "012288")...)
	m = append(m, numbers("config-keyslots-size", `"keyslots_size":"%s"`, "16744448", "config.keyslots_size", "0", "4096", "134217728", "18446744073709551615", "016744448")...)
	m = append(m, salts("digest-salt", `"segments":["0"],"hash":"sha256","iterations":1000,"salt":"`, "digest.salt")...)
	return append(m, salts("digest-digest", `"digest":"`, "digest.digest")...)
}

func token(members string) func(*image) { return swap(`"tokens":{}`, `"tokens":{"0":{`+members+`}}`) }

func config(members string) func(*image) {
	return swap(`"keyslots_size":"16744448"`, `"keyslots_size":"16744448",`+members)
}

// lengthMutations end the input early.
func lengthMutations() []mutation {
	end := func(n int) func(*image) { return func(i *image) { i.b, i.tail = i.b[:n], 0 } }
	return []mutation{
		{name: "length-0", about: "nothing", rules: "header.none", change: end(0)},
		{name: "length-3", about: "half a magic", rules: "header.none", change: end(3)},
		{name: "length-6", about: "a magic", rules: "header.truncated", change: end(6)},
		{name: "length-512", about: "one sector", rules: "header.truncated", change: end(512)},
		{name: "length-4096", about: "one binary header", rules: "header.truncated", change: end(4096)},
		{name: "length-16384", about: "one copy", rules: "header.truncated keyslot.area.truncated", change: end(16384)},
		{name: "length-32767", about: "both copies but for a byte", rules: "header.truncated keyslot.area.truncated", change: end(32767)},
		{name: "length-32768", about: "both copies, no key-slot area", rules: "keyslot.area.truncated", change: end(32768)},
		{name: "length-area", about: "a key-slot area that ends a byte early", rules: "keyslot.area.truncated", change: func(i *image) { i.tail-- }},
	}
}

package main

// tokenMutations change the token that authenticates the header.
func tokenMutations() []mutation {
	const empty = `"type":"trusted-store-header","keyslots":[]`
	m := []mutation{
		{name: "id-1", about: "another number", rules: "token.id", change: swap(`"tokens":{"0":`, `"tokens":{"1":`)},
		{name: "twice", about: "two of them", rules: "json.duplicate-key token", change: swap(`"tokens":{`, `"tokens":{"0":{},`)},
		{name: "second", about: "a second token, of another type", rules: "token", change: swap(`"tokens":{`, `"tokens":{"1":{"type":"luks2-keyring","keyslots":["0"],"key_description":"x"},`)},
		{name: "type-case", about: "its type in another case", rules: "token", change: swap(`"trusted-store-header"`, `"Trusted-Store-Header"`)},
		{name: "keyslots", about: "a token of a key slot", rules: "token.keyslots", change: swap(empty, `"type":"trusted-store-header","keyslots":["0"]`)},
		{name: "no-keyslots", about: "no list of key slots", rules: "token.keyslots", change: swap(empty, `"type":"trusted-store-header"`)},
		{name: "no-mac", about: "no MAC", rules: "token.mac", change: cut(`"epoch":"1"`, `}`, "")},
		{name: "short-mac", about: "a MAC of no bytes", rules: "token.mac", change: cut(`"mac":"`, `"}`, "")},
		{name: "more", about: "a member that is none of it", rules: "json.unknown-key", change: swap(empty, empty+`,"key":"x"`)},
	}
	m = append(m, numbers("version", `"version":%s`, "1", "token.version", "0", "2", "-1", "1.0", `"1"`, "null")...)
	m = append(m, numbers("epoch", `"epoch":"%s"`, "1", "token.epoch", "0", "01", "-1", "", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1 ")...)
	for i := range m {
		m[i].name = "header-token-" + m[i].name
		m[i].base = "ours-hmac-authenticated"
	}
	return m
}

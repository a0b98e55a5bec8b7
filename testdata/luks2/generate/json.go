package main

import (
	"fmt"
	"strings"
)

const segmentCipher = `"encryption":"aes-xts-plain64","sector_size":4096`

// jsonMutations leave the meaning to the reader of the JSON text: what a
// lenient parser smooths over.
func jsonMutations() []mutation {
	m := []mutation{
		{name: "json-empty", about: "no JSON text", rules: "json.syntax", change: text(func(string) string { return "" })},
		{name: "json-cut", about: "the JSON text ends early", rules: "json.syntax", change: text(func(s string) string { return s[:len(s)-1] })},
		{name: "json-cut-string", about: "the JSON text ends in a string", rules: "json.syntax", change: text(func(s string) string { return s[:len(s)-3] })},
		{name: "json-list", about: "a list instead of an object", rules: "metadata", change: text(func(s string) string { return "[" + s + "]" })},
		{name: "json-null", about: "null instead of an object", rules: "metadata", change: text(func(string) string { return "null" })},
		{name: "json-two", about: "a second object behind the first", rules: "json.syntax", change: text(func(s string) string { return s + s[:2] + "}" })},
		{name: "json-brace-too-many", about: "one brace too many", rules: "json.syntax", change: text(func(s string) string { return s + "}" })},
		{name: "json-trailing-comma", about: "a comma before a brace", rules: "json.syntax", change: swap(`"tokens":{}`, `"tokens":{,}`)},
		{name: "json-single-quotes", about: "single quotes", rules: "json.syntax", change: swap(`"tokens"`, `'tokens'`)},
		{name: "json-comment", about: "a comment", rules: "json.syntax", change: swap(`"tokens":{}`, `"tokens":{/**/}`)},
		{name: "json-nan", about: "a number that JSON does not have", rules: "json.syntax", change: swap(`"sector_size":4096`, `"sector_size":NaN`)},
		{name: "json-leading-zero", about: "a number with a leading zero", rules: "json.syntax", change: swap(`"sector_size":4096`, `"sector_size":04096`)},
		{name: "json-bom", about: "a byte order mark", rules: "json.syntax", change: text(func(s string) string { return "\xef\xbb\xbf" + s })},
		{name: "json-space-start", about: "white space before the object", rules: "json.whitespace", change: text(func(s string) string { return " " + s })},
		{name: "json-space-end", about: "a newline behind the object", rules: "json.whitespace", change: text(func(s string) string { return s + "\n" })},
		{name: "json-pretty", about: "white space between the members", rules: "json.whitespace", change: text(func(s string) string { return strings.ReplaceAll(s, `,"`, ",\n\t\"") })},
		{name: "json-behind-nul", about: "another JSON text behind the NUL", rules: "json.trailing", change: text(func(s string) string { return s + "\x00" + s })},
		{name: "json-last-byte", about: "a byte at the very end of the JSON area", rules: "json.trailing", change: both(func(b []byte, _ int) { b[copySize-1] = 'x' })},
		{name: "json-full", about: "a JSON area without a NUL", rules: "json.unterminated json.whitespace", change: text(func(s string) string {
			return s + strings.Repeat(" ", copySize-binarySize-len(s))
		})},
		{name: "json-deep-objects", about: "objects nested 500 deep", rules: "json.depth", change: swap(`"tokens":{}`, `"tokens":{"0":`+strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500)+"}")},
		{name: "json-deep-lists", about: "lists nested 5000 deep", rules: "json.depth", change: swap(`"tokens":{}`, `"tokens":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000))},
		{name: "json-deep-open", about: "10000 open brackets", rules: "json.depth", change: text(func(string) string { return `{"keyslots":` + strings.Repeat("[", 10000) })},
		{name: "json-many-keys", about: "two thousand keys that differ in nothing", rules: "json.duplicate-key json.unknown-key violations.omitted", change: swap(`"tokens":{}`, `"tokens":{}`+strings.Repeat(`,"":0`, 2000))},
		{name: "json-long-string", about: "a key of ten thousand bytes", rules: "json.unknown-key", change: swap(`"tokens":{}`, `"tokens":{},"`+strings.Repeat("k", 10000)+`":0`)},
		{name: "json-long-number", about: "a number of nine thousand digits", rules: "segment.sector_size", change: swap(segmentCipher, strings.Replace(segmentCipher, "4096", strings.Repeat("4", 9000), 1))},
		{name: "json-escape-value", about: "an escape in a value: aes spelled with \\u0061", rules: "json.string segment.encryption", change: swap(segmentCipher, `"encryption":"\u0061es-xts-plain64","sector_size":4096`)},
		{name: "json-escape-key", about: "an escape in a key: null cipher under a key that a lenient parser takes for encryption", rules: "json.string json.unknown-key", change: swap(segmentCipher, segmentCipher+`,"\u0065ncryption":"cipher_null-ecb"`)},
		{name: "json-escape-quote", about: "an escaped quote", rules: "json.string segment.encryption", change: swap(segmentCipher, `"encryption":"aes-xts-plain64\"","sector_size":4096`)},
		{name: "json-escape-slash", about: "an escaped slash", rules: "json.string json.unknown-key", change: swap(`"tokens":{}`, `"tokens":{},"a\/b":0`)},
		{name: "json-control", about: "a terminal's escape sequence in a string", rules: "json.string segment.encryption", change: swap(segmentCipher, "\"encryption\":\"aes-xts-plain64\x1b[2J\",\"sector_size\":4096")},
		{name: "json-unicode", about: "a letter that looks like another", rules: "json.string segment.encryption", change: swap(segmentCipher, "\"encryption\":\"\u0430es-xts-plain64\",\"sector_size\":4096")},
	}
	return append(m, keyMutations()...)
}

// keyMutations add a key that some parsers take for another one.
func keyMutations() []mutation {
	var m []mutation
	for name, at := range map[string]string{
		"root": `"tokens":{}`, "keyslot": `"type":"luks2"`, "af": `"stripes":4000`, "area": `"type":"raw"`,
		"kdf": `"type":"pbkdf2","hash":"sha256","iterations":1000,"salt":"`, "segment": `"type":"crypt"`,
		"integrity": `"journal_integrity":"none"`, "config": `"json_size":"12288"`, "digest": `"segments":["0"]`,
	} {
		key, _, _ := strings.Cut(at, ":")
		add := func(extra string) func(*image) {
			if name == "kdf" { // the digest starts alike
				return swap(`"kdf":{`, `"kdf":{`+extra+`,`)
			}
			return swap(at, extra+","+at)
		}
		m = append(m,
			mutation{name: "unknown-key-" + name, about: "a key that LUKS2 does not have, in " + name, rules: "json.unknown-key", change: add(`"comment":"x"`)},
			mutation{name: "wrong-case-" + name, about: "a key in another case, which Go's decoder takes for the real one, in " + name, rules: "json.wrong-case-key", change: add(strings.ToUpper(key) + `:0`)})
	}
	for name, s := range map[string][2]string{
		"encryption-last":  {segmentCipher, segmentCipher + `,"encryption":"cipher_null-ecb"`},
		"encryption-equal": {segmentCipher, segmentCipher + `,"encryption":"aes-xts-plain64"`},
		"segment":          {`"segments":{"0":`, `"segments":{"0":{"type":"linear"},"0":`},
		"segments":         {`"tokens":{}`, `"tokens":{},"segments":{}`},
		"tokens":           {`"tokens":{}`, `"tokens":{},"tokens":{}`},
		"keyslots":         {`"tokens":{}`, `"tokens":{},"keyslots":{}`},
		"digests":          {`"tokens":{}`, `"tokens":{},"digests":{}`},
		"config":           {`"tokens":{}`, `"tokens":{},"config":{}`},
		"iterations":       {`"kdf":{"type":"pbkdf2",`, `"kdf":{"type":"pbkdf2","iterations":1000,`},
	} {
		rules := "json.duplicate-key"
		switch name {
		case "segment": // the first is judged
			rules += " segment.type"
		case "segments":
			rules += " segment.id"
		case "keyslots":
		case "digests":
			rules += " digest.id"
		case "config":
			rules += " config.json_size config.keyslots_size"
		}
		m = append(m, mutation{name: "duplicate-" + name, about: "a key that appears twice", rules: rules, change: swap(s[0], s[1])})
	}
	for _, k := range []string{"keyslots", "tokens", "segments", "digests", "config"} {
		m = append(m, mutation{name: "renamed-" + k, about: "a top-level key in another case only", rules: "metadata." + k + " json.wrong-case-key" + unowned(k),
			change: swap(fmt.Sprintf(`"%s":{`, k), fmt.Sprintf(`"%s":{`, strings.ToUpper(k[:1])+k[1:]))})
	}
	return m
}

// unowned names what else is wrong when the key slots cannot be seen.
func unowned(k string) string {
	if k == "keyslots" {
		return " digest.keyslots"
	}
	return ""
}

package main

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// kdfMutations choose costs that hang or kill the one who opens the volume, or
// make guessing cheap.
func kdfMutations() []mutation {
	on := func(base string, m []mutation) []mutation {
		for i := range m {
			m[i].base = base
		}
		return m
	}
	m := numbers("pbkdf2-iterations", `"kdf":{"type":"pbkdf2","hash":"sha256","iterations":%s,`, "1000", "keyslot.kdf.iterations",
		"0", "1", "999", "10000001", "2147483648", "4294967296", "4294968296", "18446744073709551615", "18446744073709552616", "-1", "1e3", `"1000"`)
	m = append(m, numbers("pbkdf2-hash", `"kdf":{"type":"pbkdf2","hash":"%s",`, "sha256", "keyslot.kdf.hash", "", "sha1", "sha512", "SHA256", "md5")...)
	m = append(m, numbers("kdf-type", `"kdf":{"type":"%s",`, "pbkdf2", "keyslot.kdf.type", "", "scrypt", "argon2i", "argon2d", "PBKDF2", "none")...)
	m = append(m, on("ours-hmac-two", slicesOf(
		numbers("argon2-time", `"time":%s,`, "1", "keyslot.kdf.time", "0", "17", "4294967295", "4294967296", "4294967297", "-1", "1.0"),
		numbers("argon2-memory", `"memory":%s,`, "64", "keyslot.kdf.memory", "0", "7", "31", "65537", "1048576", "4294967295", "4294967296", "4294967360", "18446744073709551615", "-64", `"64"`),
		numbers("argon2-cpus", `"cpus":%s,`, "1", "keyslot.kdf.cpus", "0", "5", "255", "256", "257", "4294967297", "-1", "null"),
	))...)
	m = append(m, mutation{name: "argon2-iterations", about: "a member of the other function", base: "ours-hmac-two", rules: "json.unknown-key", change: swap(`"time":1,`, `"time":1,"iterations":1000,`)})
	m = append(m, mutation{name: "pbkdf2-memory", about: "a member of the other function", rules: "json.unknown-key", change: swap(`"kdf":{"type":"pbkdf2",`, `"kdf":{"type":"pbkdf2","memory":64,`)})
	m = append(m, mutation{name: "kdf-list", about: "a list instead of key derivation parameters", rules: "keyslot.kdf", change: cut(`"kdf":`, `}},"tokens"`, "[]")})
	return append(m, salts("keyslot-salt", `"kdf":{"type":"pbkdf2","hash":"sha256","iterations":1000,"salt":"`, "keyslot.kdf.salt")...)
}

func slicesOf(groups ...[]mutation) []mutation {
	var all []mutation
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// salts replaces 32 bytes in base64 by something else.
func salts(name, before, rule string) []mutation {
	of := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	var m []mutation
	for i, s := range []string{
		"", of(1), of(16), of(31), of(33), of(64), of(200), of(4000),
		strings.TrimSuffix(of(32), "="), of(32) + "=", "AAAA" + of(28) + "=",
		strings.Replace(of(32), "A=", "B=", 1), // bits behind the last byte
		strings.Replace(of(32), "AAAA", "AA-_", 1), "!" + of(32)[1:], " " + of(32)[1:], "null",
	} {
		m = append(m, mutation{name: fmt.Sprintf("%s-%02d", name, i), about: fmt.Sprintf("not 32 bytes in base64, but %.60q", s), rules: rule, change: cut(before, `"`, s)})
	}
	return m
}

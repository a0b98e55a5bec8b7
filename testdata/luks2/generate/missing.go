package main

import (
	"fmt"
	"regexp"
	"strings"
)

// missingMutations take every member of the JSON text away, one at a time, and
// put a list in its place, one at a time.
func missingMutations() []mutation {
	var m []mutation
	for _, o := range []struct{ object, rule, keys string }{
		{`"0":{"type":"luks2"`, "keyslot", "type key_size"},
		{`"af":{`, "keyslot.af", "type stripes hash"},
		{`"area":{`, "keyslot.area", "type offset size encryption key_size"},
		{`"kdf":{`, "keyslot.kdf", "type hash iterations salt"},
		{`"segments":{"0":{`, "segment", "type offset size iv_tweak encryption sector_size"},
		{`"integrity":{`, "segment.integrity", "type journal_encryption journal_integrity"},
		{`"digests":{"0":{`, "digest", "type keyslots segments hash iterations salt digest"},
		{`"config":{`, "config", "json_size keyslots_size"},
	} {
		for key := range strings.FieldsSeq(o.keys) {
			rule := o.rule + "." + key
			name := strings.ReplaceAll(strings.ReplaceAll(rule, ".", "-"), "_", "")
			m = append(m,
				mutation{name: "missing-" + name, about: "without this member", rules: rule, change: member(o.object, key, "")},
				mutation{name: "list-" + name, about: "a list of a list in this member", rules: rule, change: member(o.object, key, `"`+key+`":[[]]`)})
		}
	}
	return m
}

// member replaces the first member of a name behind the start of an object.
func member(object, key, with string) func(*image) {
	return text(func(s string) string {
		start := strings.Index(s, object)
		if start < 0 {
			panic(fmt.Sprintf("%s is not in the JSON text", object))
		}
		start += strings.Index(object, "{")
		if strings.HasPrefix(object, `"segments"`) || strings.HasPrefix(object, `"digests"`) {
			start += strings.Index(s[start+1:], "{") + 1
		}
		re := regexp.MustCompile(`"` + key + `":("[^"]*"|\[[^\]]*\]|[0-9]+),?`)
		at := re.FindStringIndex(s[start:])
		found := s[start+at[0] : start+at[1]]
		comma := ""
		if with != "" && strings.HasSuffix(found, ",") {
			comma = ","
		}
		out := s[:start+at[0]] + with + comma + s[start+at[1]:]
		return strings.ReplaceAll(out, ",}", "}")
	})
}

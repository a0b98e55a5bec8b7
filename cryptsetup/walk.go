package cryptsetup

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// walker compares a parsed JSON text with the profile and collects the
// violations. The parse functions of each object are in that object's file.
type walker struct {
	faults
	profile Profile
}

// object is one JSON object under comparison. A void one, after its value was
// missing or something else, asks and reports nothing more.
type object struct {
	w          *walker
	n          *node
	rule, path string
	asked      map[string]bool
}

func (w *walker) object(n *node, rule, path string) *object {
	o := &object{w: w, n: n, rule: rule, path: path, asked: map[string]bool{}}
	if n != nil && n.kind != '{' {
		w.add(rule, path, "found %s, expected an object", n.describe())
		o.n = nil
	}
	return o
}

// describe names a value in a message.
func (n *node) describe() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return quote(n.text)
	}
	return strings.Trim(quote(n.text), `"`)
}

// refuse adds a violation of a field's rule.
func (o *object) refuse(key, format string, args ...any) {
	o.w.add(o.rule+"."+key, step(o.path, key), format, args...)
}

// find returns the first member of this name, or nil.
func (o *object) find(key string) *node {
	if o.n == nil {
		return nil
	}
	o.asked[key] = true
	for i, k := range o.n.keys {
		if k == key {
			return o.n.vals[i]
		}
	}
	return nil
}

// need is find that reports a missing member.
func (o *object) need(key string) *node {
	n := o.find(key)
	if n == nil && o.n != nil {
		o.refuse(key, "missing")
	}
	return n
}

// child returns a member that must be an object, under a rule of its own name.
func (o *object) child(key string) *object {
	return o.w.object(o.need(key), o.rule+"."+key, step(o.path, key))
}

// is compares a string member with the only value it may have.
func (o *object) is(key, want string) bool {
	n := o.need(key)
	if n == nil {
		return false
	}
	if n.kind != '"' || n.text != want {
		o.refuse(key, "found %s, expected %s", n.describe(), quote(want))
		return false
	}
	return true
}

// isDecimal compares a 64-bit value, spelled as a string.
func (o *object) isDecimal(key string, want uint64) { o.is(key, strconv.FormatUint(want, 10)) }

// isNumber compares a number with the only value it may have.
func (o *object) isNumber(key string, want uint64) {
	o.within(limit{field: key, lo: want, hi: want})
}

// decimal returns a 64-bit value that is spelled as a canonical string.
func (o *object) decimal(key string) (uint64, bool) {
	n := o.need(key)
	if n == nil {
		return 0, false
	}
	v, err := strconv.ParseUint(n.text, 10, 64)
	if n.kind != '"' || err != nil || strconv.FormatUint(v, 10) != n.text {
		o.refuse(key, "found %s, expected a decimal number in quotes", n.describe())
		return 0, false
	}
	return v, true
}

// within returns a number that is inside its limit. Of the spellings that JSON
// has, ParseUint takes one for each number.
func (o *object) within(l limit) uint64 {
	n := o.need(l.field)
	if n == nil {
		return 0
	}
	v, err := strconv.ParseUint(n.text, 10, 64)
	if n.kind != '0' || err != nil || !l.holds(v) {
		o.refuse(l.field, "found %s, expected %s", n.describe(), l)
		return 0
	}
	return v
}

// bytes returns a member that holds exactly size bytes in canonical base64.
func (o *object) bytes(key string, size int) []byte {
	n := o.need(key)
	if n == nil {
		return nil
	}
	if n.kind != '"' || len(n.text) != base64.StdEncoding.EncodedLen(size) {
		o.refuse(key, "found %s, expected %d bytes in base64", n.describe(), size)
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(n.text)
	if err != nil || len(b) != size {
		o.refuse(key, "found %s, expected %d bytes in base64", n.describe(), size)
		return nil
	}
	return b
}

// strings returns a list of strings.
func (o *object) strings(key string) ([]string, bool) {
	n := o.need(key)
	if n == nil {
		return nil, false
	}
	items := make([]string, 0, len(n.vals))
	for _, v := range n.vals {
		if v.kind == '"' {
			items = append(items, v.text)
		}
	}
	if n.kind != '[' || len(items) != len(n.vals) {
		o.refuse(key, "found %s, expected a list of strings", n.describe())
		return nil, false
	}
	return items, true
}

// done reports every member that nobody asked for. Those in refused exist in
// LUKS2 but not in this profile, and are reported under their own rule.
func (o *object) done(refused ...string) {
	if o.n == nil {
		return
	}
	for _, key := range o.n.keys {
		if !o.asked[key] {
			o.stray(key, refused)
		}
	}
}

func (o *object) stray(key string, refused []string) {
	for _, r := range refused {
		if key == r {
			o.refuse(key, "present, and not accepted by profile version %d", ProfileVersion)
			return
		}
	}
	for known := range o.asked {
		if strings.EqualFold(known, key) {
			o.w.add("json.wrong-case-key", step(o.path, key), "expected %s", quote(known))
			return
		}
	}
	o.w.add("json.unknown-key", step(o.path, key), "key is not part of the profile")
}

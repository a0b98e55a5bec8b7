package cryptsetup

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var allRules = []IntegrityRule{RequireHMACSHA256, RequireNone, AnyIntegrity, RequireAEAD}

// accepts reports whether a header is inside the profile.
func accepts(t *testing.T, region []byte, rule IntegrityRule) bool {
	t.Helper()
	e := examine(region, Profile{Integrity: rule})
	if e.any() {
		return false
	}
	requireProfile(t, e.header(0), Profile{Integrity: rule})
	return true
}

// textOf returns the JSON text of a volume with two key slots.
func textOf(i Integrity) string {
	m := metadata{integrity: i, digest: digest{iterations: minIterations, salt: make([]byte, saltSize), sum: make([]byte, digestSize)}}
	for n := range 2 {
		m.keyslots = append(m.keyslots, Keyslot{ID: n, KDF: RandomKeyKDF(), salt: make([]byte, saltSize),
			Offset: int64(areaOffset(i, n)), Size: int64(areaSize(i))})
	}
	return string(m.encode())
}

// All combinations of what the kinds of volumes differ in: those of one kind are
// accepted by the rules that want it, every other one is rejected by all rules.
func TestNoTwoKindsOfVolumesAreMixed(t *testing.T) {
	kinds := []Integrity{HMACSHA256, None, AEAD}
	object := func(i Integrity) string {
		_, rest, found := strings.Cut(textOf(i), `"sector_size":4096`)
		part, _, _ := strings.Cut(rest, `}},"digests"`)
		if !found {
			t.Fatal("no segment")
		}
		return part
	}
	// What each part is in the text of its own kind, and in another's.
	parts := []func(i Integrity) string{
		func(i Integrity) string { return fmt.Sprintf(`"encryption":%q,"sector_size":4096`, i.Cipher()) },
		object,
		func(i Integrity) string { return fmt.Sprintf(`"type":"luks2","key_size":%d,`, VolumeKeySize(i)) },
		func(i Integrity) string { return fmt.Sprintf(`"size":"%d"`, areaSize(i)) },
		func(i Integrity) string { return fmt.Sprintf(`"offset":"%d","size"`, areaOffset(i, 1)) },
	}
	accepted, region := 0, make([]byte, regionSize)
	for mix := range 3 * 3 * 3 * 3 * 3 {
		text, of := textOf(HMACSHA256), make([]Integrity, len(parts))
		for n, part := range parts {
			of[n] = kinds[mix%3]
			mix /= 3
			if from, to := part(HMACSHA256), part(of[n]); from != to {
				require.Contains(t, text, from)
				text = strings.ReplaceAll(text, from, to)
			}
		}
		i := slices.IndexFunc(kinds, func(k Integrity) bool { return text == textOf(k) })
		copy(region, fuzzHeader([]byte(text), nil))
		for _, rule := range allRules {
			want := i >= 0 && (rule == AnyIntegrity || rule.required() == kinds[i])
			require.Equal(t, want, accepts(t, region, rule), "%v, rule %v", of, rule)
			if want {
				accepted++
			}
		}
	}
	// Cipher of HMACSHA256 and None are one, so each of these two is met twice.
	require.Equal(t, 2*2+2*2+2, accepted)
}

// Every single change of a volume with aegis128-random is rejected: any value of the
// text but those that are free, one that is missing, there twice, or under another name.
func TestEveryDeviationOfAEGISIsRejected(t *testing.T) {
	text := textOf(AEAD)
	d := &deviations{T: t, text: text, root: parseJSON([]byte(text), &faults{}), region: make([]byte, regionSize)}
	copy(d.region, fuzzHeader([]byte(text), nil))
	require.True(t, accepts(t, d.region, RequireAEAD), "the premise")
	d.tryAll(d.root, "")
	require.Greater(t, d.tried, 500)
}

// deviations are texts that differ from one in one thing: its tree is changed for the
// time of each try.
type deviations struct {
	*testing.T
	text   string
	root   *node
	region []byte
	tried  int
}

func (d *deviations) tryAll(n *node, path string) {
	for i, value := range n.vals {
		where, free := fmt.Sprintf("%s.%d", path, i), false
		if n.kind == '{' {
			where, free = path+"."+n.keys[i], slices.Contains([]string{"salt", "digest", "iterations"}, n.keys[i])
			d.tryMembers(n, i, where)
		}
		for _, other := range otherValues(value) {
			if !free || other.kind != value.kind {
				n.vals[i] = other
				d.reject(where + " is " + other.print())
			}
		}
		n.vals[i] = value
		d.tryAll(value, where)
	}
}

func (d *deviations) tryMembers(n *node, i int, where string) {
	keys, vals := n.keys, n.vals
	n.keys, n.vals = slices.Delete(slices.Clone(keys), i, i+1), slices.Delete(slices.Clone(vals), i, i+1)
	d.reject(where + " is missing")
	n.keys, n.vals = append(slices.Clone(keys), keys[i]), append(slices.Clone(vals), vals[i])
	d.reject(where + " is there twice")
	n.keys, n.vals = slices.Clone(keys), vals
	n.keys[i] = strings.ToUpper(keys[i]) + "X"
	d.reject(where + " has another name")
	n.keys, n.vals = keys, vals
}

func (d *deviations) reject(what string) {
	d.Helper()
	d.tried++
	text := d.root.print()
	require.NotEqual(d, d.text, text, what)
	copy(d.region, fuzzHeader([]byte(text), nil))
	for _, rule := range allRules {
		require.False(d, accepts(d.T, d.region, rule), "%s, rule %v", what, rule)
	}
}

// otherValues are those that a value is exchanged for.
func otherValues(n *node) []*node {
	var all []*node
	for _, s := range []string{"", "0", "1", "16", "32", "96", "4096", "65536", "aes-xts-plain64", "hmac(sha256)", "none", "aegis128-random", "aead",
		"cipher_null-ecb", "sha1", "linear", "dynamic", n.text + " ", n.text + "0", strings.ToUpper(n.text)} {
		if n.kind != '"' || s != n.text {
			all = append(all, &node{kind: '"', text: s})
		}
	}
	for _, s := range []string{"0", "1", "15", "16", "32", "64", "96", "512", "4000", "4096", "-16", "16.0", n.text + "0"} {
		if n.kind != '0' || s != n.text {
			all = append(all, &node{kind: '0', text: s})
		}
	}
	all = append(all, &node{kind: 't', text: "null"}, &node{kind: 't', text: "true"})
	if n.kind != '{' || len(n.vals) > 0 {
		all = append(all, &node{kind: '{'})
	}
	if n.kind != '[' || len(n.vals) > 0 {
		all = append(all, &node{kind: '['})
	}
	return all
}

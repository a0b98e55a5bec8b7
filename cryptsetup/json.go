package cryptsetup

import (
	"encoding/base64"
	"strconv"
)

// encoder writes JSON as cryptsetup does: compact, members in the order of the
// calls, nothing escaped. Every string it is given is a constant, a decimal or
// base64, so nothing needs escaping.
type encoder struct{ buf []byte }

func (e *encoder) comma() {
	if n := len(e.buf); n > 0 && e.buf[n-1] != '{' && e.buf[n-1] != '[' {
		e.buf = append(e.buf, ',')
	}
}

func (e *encoder) quoted(s string) {
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '"')
}

func (e *encoder) key(k string) {
	e.comma()
	e.quoted(k)
	e.buf = append(e.buf, ':')
}

// root writes the outermost object.
func (e *encoder) root(members func()) {
	e.buf = append(e.buf, '{')
	members()
	e.buf = append(e.buf, '}')
}

func (e *encoder) object(k string, members func()) {
	e.key(k)
	e.root(members)
}

func (e *encoder) text(k, v string) {
	e.key(k)
	e.quoted(v)
}

func (e *encoder) number(k string, v uint64) {
	e.key(k)
	e.buf = strconv.AppendUint(e.buf, v, 10)
}

// decimal writes a 64-bit value, which LUKS2 keeps as a string since JSON
// numbers lose precision above 53 bits.
func (e *encoder) decimal(k string, v uint64) { e.text(k, strconv.FormatUint(v, 10)) }

func (e *encoder) base64(k string, v []byte) {
	e.text(k, base64.StdEncoding.EncodeToString(v))
}

func (e *encoder) list(k string, items []string) {
	e.key(k)
	e.buf = append(e.buf, '[')
	for _, s := range items {
		e.comma()
		e.quoted(s)
	}
	e.buf = append(e.buf, ']')
}

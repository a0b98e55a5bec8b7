package cryptsetup

import (
	"bytes"
	"strconv"
)

// metadata is what the JSON area of an accepted header says; everything else
// in it is constant. LUKS2 specification, section 3.
type metadata struct {
	integrity Integrity
	keySize   bool // the size of the integrity key is said, though it can be no other
	sizeOnly  bool // there is no key slot, but the entry that says the key's size
	keyslots  []Keyslot
	token     *token // nil: the header is not authenticated
	digest    digest
}

// encode writes the JSON text as cryptsetup would.
func (m *metadata) encode() []byte {
	var e encoder
	e.root(func() {
		e.object("keyslots", func() {
			if m.sizeOnly {
				encodeSizeOnly(&e, m.integrity)
			}
			for i := range m.keyslots {
				m.keyslots[i].encode(&e, m.integrity)
			}
		})
		e.object("tokens", func() {
			if m.token != nil {
				m.token.encode(&e)
			}
		})
		e.object("segments", func() { m.encodeSegment(&e) })
		e.object("digests", func() { m.digest.encode(&e, m.slotNames()) })
		encodeConfig(&e)
	})
	return e.buf
}

// slotNames are the names of all members of "keyslots".
func (m *metadata) slotNames() []string {
	if m.sizeOnly {
		return []string{sizeOnlyID}
	}
	names := make([]string, len(m.keyslots))
	for i, s := range m.keyslots {
		names[i] = strconv.Itoa(s.ID)
	}
	return names
}

// metadata reads the whole JSON text. The segment comes first, since the sizes
// of keys and areas follow from its integrity.
func (w *walker) metadata(root *node) metadata {
	var m metadata
	o := w.object(root, "metadata", "")
	w.segments(o.need("segments"), &m)
	w.keyslots(o.need("keyslots"), &m)
	m.token = w.tokens(o.need("tokens"))
	m.digest = w.digests(o.need("digests"), m.slotNames())
	w.config(o.need("config"))
	o.done()
	return m
}

// jsonText returns the text of a JSON area: up to the first NUL, with nothing
// behind it.
func jsonText(area []byte, f *faults, where string) []byte {
	end := bytes.IndexByte(area, 0)
	if end < 0 {
		f.add("json.unterminated", where, "no NUL in the %d bytes of the JSON area", len(area))
		return area
	}
	for i, c := range area[end:] {
		if c != 0 {
			f.add("json.trailing", where, "byte %d behind the JSON text is %#02x, expected only NUL", end+i, c)
			break
		}
	}
	return area[:end]
}

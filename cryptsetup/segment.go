package cryptsetup

// The one segment of a volume: all of the device behind the metadata. LUKS2
// specification, section 3.3.

func (m *metadata) encodeSegment(e *encoder) {
	e.object("0", func() {
		e.text("type", "crypt")
		e.decimal("offset", DataOffset)
		e.text("size", "dynamic")
		e.decimal("iv_tweak", 0)
		e.text("encryption", "aes-xts-plain64")
		e.number("sector_size", SectorSize)
		if m.integrity == HMACSHA256 {
			e.object("integrity", func() {
				e.text("type", "hmac(sha256)")
				e.text("journal_encryption", "none")
				e.text("journal_integrity", "none")
				if m.keySize {
					e.number("key_size", hmacKeySize)
				}
			})
		}
	})
}

// segments reads the segment, and with it the integrity against which the rest
// of the header is judged: the one that the profile requires, or else the one
// that the header states.
func (w *walker) segments(n *node, m *metadata) {
	m.integrity = HMACSHA256
	if w.profile.Integrity == RequireNone {
		m.integrity = None
	}
	all := w.object(n, "segment", "segments")
	if all.n == nil {
		return
	}
	found := false
	for j, key := range all.n.keys {
		path := step("segments", key)
		if key != "0" {
			w.add("segment.id", path, "found %s, expected only \"0\"", quote(key))
			continue
		}
		found = true
		w.segment(w.object(all.n.vals[j], "segment", path), m)
	}
	if !found {
		w.add("segment.id", "segments", "segment \"0\" is missing")
	}
}

func (w *walker) segment(o *object, m *metadata) {
	if !o.is("type", "crypt") {
		return
	}
	o.isDecimal("offset", DataOffset)
	o.is("size", "dynamic")
	o.isDecimal("iv_tweak", 0)
	o.is("encryption", "aes-xts-plain64")
	o.isNumber("sector_size", SectorSize)
	w.segmentIntegrity(o, m)
	o.done("flags")
}

func (w *walker) segmentIntegrity(o *object, m *metadata) {
	present := o.find("integrity") != nil
	switch w.profile.Integrity {
	case AnyIntegrity:
		m.integrity = None
		if present {
			m.integrity = HMACSHA256
		}
	case RequireNone:
		if present {
			o.refuse("integrity", "present, expected a volume without integrity")
			return
		}
	default:
		if !present && o.n != nil {
			o.refuse("integrity", "missing, expected a volume with hmac(sha256)")
			return
		}
	}
	if present {
		c := o.child("integrity")
		c.is("type", "hmac(sha256)")
		c.is("journal_encryption", "none")
		c.is("journal_integrity", "none")
		if m.keySize = c.find("key_size") != nil; m.keySize {
			c.isNumber("key_size", hmacKeySize)
		}
		c.done()
	}
}

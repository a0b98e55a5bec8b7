package cryptsetup

// The one segment of a volume: all of the device behind the metadata. LUKS2
// specification, section 3.3.

func encodeSegment(e *encoder, i Integrity) {
	e.object("0", func() {
		e.text("type", "crypt")
		e.decimal("offset", DataOffset)
		e.text("size", "dynamic")
		e.decimal("iv_tweak", 0)
		e.text("encryption", "aes-xts-plain64")
		e.number("sector_size", SectorSize)
		if i == HMACSHA256 {
			e.object("integrity", func() {
				e.text("type", "hmac(sha256)")
				e.text("journal_encryption", "none")
				e.text("journal_integrity", "none")
			})
		}
	})
}

// segments reads the segment and returns the integrity against which the rest
// of the header is judged: the one that the profile requires, or else the one
// that the header states.
func (w *walker) segments(n *node) Integrity {
	i := HMACSHA256
	if w.profile.Integrity == RequireNone {
		i = None
	}
	all := w.object(n, "segment", "segments")
	if all.n == nil {
		return i
	}
	found := false
	for j, key := range all.n.keys {
		path := step("segments", key)
		if key != "0" {
			w.add("segment.id", path, "found %s, expected only \"0\"", quote(key))
			continue
		}
		found = true
		i = w.segment(w.object(all.n.vals[j], "segment", path), i)
	}
	if !found {
		w.add("segment.id", "segments", "segment \"0\" is missing")
	}
	return i
}

func (w *walker) segment(o *object, i Integrity) Integrity {
	if !o.is("type", "crypt") {
		return i
	}
	o.isDecimal("offset", DataOffset)
	o.is("size", "dynamic")
	o.isDecimal("iv_tweak", 0)
	o.is("encryption", "aes-xts-plain64")
	o.isNumber("sector_size", SectorSize)
	i = w.segmentIntegrity(o, i)
	o.done("flags")
	return i
}

func (w *walker) segmentIntegrity(o *object, i Integrity) Integrity {
	present := o.find("integrity") != nil
	switch w.profile.Integrity {
	case AnyIntegrity:
		i = None
		if present {
			i = HMACSHA256
		}
	case RequireNone:
		if present {
			o.refuse("integrity", "present, expected a volume without integrity")
			return i
		}
	default:
		if !present && o.n != nil {
			o.refuse("integrity", "missing, expected a volume with hmac(sha256)")
			return i
		}
	}
	if present {
		c := o.child("integrity")
		c.is("type", "hmac(sha256)")
		c.is("journal_encryption", "none")
		c.is("journal_integrity", "none")
		c.done("key_size")
	}
	return i
}

package cryptsetup

// The one segment of a volume: all of the device behind the metadata. LUKS2
// specification, section 3.3.

func (m *metadata) encodeSegment(e *encoder) {
	e.object("0", func() {
		e.text("type", "crypt")
		e.decimal("offset", DataOffset)
		e.text("size", "dynamic")
		e.decimal("iv_tweak", 0)
		e.text("encryption", m.integrity.Cipher())
		e.number("sector_size", SectorSize)
		if kind := m.integrity.suite().integrityType; kind != "" {
			e.object("integrity", func() {
				e.text("type", kind)
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
	m.integrity = w.profile.Integrity.required()
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
	w.segmentCipher(o, m)
	o.isNumber("sector_size", SectorSize)
	w.segmentIntegrity(o, m)
	o.done("flags")
}

// segmentCipher reads the cipher. One that another integrity has is reported as that,
// and the rest of the header is judged as that of the volume that it claims to be.
func (w *walker) segmentCipher(o *object, m *metadata) {
	n, required := o.find("encryption"), m.integrity.Cipher()
	if n == nil || n.kind != '"' || n.text == required || n.text != HMACSHA256.Cipher() && n.text != AEAD.Cipher() {
		o.is("encryption", required)
		return
	}
	if w.profile.Integrity != AnyIntegrity {
		w.add(RuleCipher, step(o.path, "encryption"), "found %s, expected %s", quote(n.text), quote(required))
	}
	m.integrity = HMACSHA256
	if n.text == AEAD.Cipher() {
		m.integrity = AEAD
	}
}

// segmentIntegrity reads the integrity object. Of the two kinds of volumes with
// aes-xts-plain64 it is the one that the profile requires, or else the one that the
// header states.
func (w *walker) segmentIntegrity(o *object, m *metadata) {
	present, rule := o.find("integrity") != nil, w.profile.Integrity
	if m.integrity == HMACSHA256 && !present && (rule == AnyIntegrity || rule == RequireAEAD) {
		m.integrity = None
	}
	kind := m.integrity.suite().integrityType
	switch {
	case kind == "" && present:
		o.refuse("integrity", "present, expected a volume without integrity")
	case kind != "" && !present && o.n != nil:
		o.refuse("integrity", "missing, expected a volume with %s", kind)
	case present:
		w.integrityObject(o.child("integrity"), kind, m)
	}
}

func (w *walker) integrityObject(o *object, kind string, m *metadata) {
	o.is("type", kind)
	o.is("journal_encryption", "none")
	o.is("journal_integrity", "none")
	if m.integrity == AEAD {
		o.done("key_size") // there is one key
		return
	}
	if m.keySize = o.find("key_size") != nil; m.keySize {
		o.isNumber("key_size", hmacKeySize)
	}
	o.done()
}

package cryptsetup

// The header of a volume whose key is never stored has one member in "keyslots"
// that is no key slot: it says how long the volume key is, and nothing else.
// cryptsetup takes what `status` prints as keysize from there, and printed 0
// without it. There is no key derivation, no cipher and no wrapped key in it, and
// nothing reads or writes what it calls its area, which LUKS2 wants each member
// to have. cryptsetup has nothing to open this type with, and is told by the
// priority not to try.
const (
	sizeOnlyType = "trusted-store-ephemeral"
	sizeOnlyID   = "0"

	sizeOnlyOffset = headersSize
	sizeOnlySize   = blockSize
)

func encodeSizeOnly(e *encoder, i Integrity) {
	e.object(sizeOnlyID, func() {
		e.text("type", sizeOnlyType)
		e.number("key_size", uint64(VolumeKeySize(i)))
		e.number("priority", 0)
		e.object("area", func() {
			e.text("type", "none")
			e.decimal("offset", sizeOnlyOffset)
			e.decimal("size", sizeOnlySize)
		})
	})
}

// isSizeOnly reports whether this member is all that "keyslots" has. Beside a key
// slot it is one of another type, and rejected as that.
func (w *walker) isSizeOnly(keyslots *node) bool {
	if len(keyslots.keys) != 1 || keyslots.keys[0] != sizeOnlyID || keyslots.vals[0].kind != '{' {
		return false
	}
	kind := w.object(keyslots.vals[0], "keyslot", "").find("type")
	return kind != nil && kind.kind == '"' && kind.text == sizeOnlyType
}

func (w *walker) sizeOnly(o *object, i Integrity) {
	o.is("type", sizeOnlyType)
	o.isNumber("key_size", uint64(VolumeKeySize(i)))
	o.isNumber("priority", 0)
	if area := o.child("area"); area.is("type", "none") {
		area.isDecimal("offset", sizeOnlyOffset)
		area.isDecimal("size", sizeOnlySize)
		area.done()
	}
	o.done()
}

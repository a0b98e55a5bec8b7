package cryptsetup

// The config object: sizes of the areas. LUKS2 specification, section 3.5. Its
// flags and requirements change what other software does with the volume, so a
// header that has them is rejected under their names.

func encodeConfig(e *encoder) {
	e.object("config", func() {
		e.decimal("json_size", jsonSize)
		e.decimal("keyslots_size", keyslotsSize)
	})
}

func (w *walker) config(n *node) {
	o := w.object(n, "config", "config")
	o.isDecimal("json_size", jsonSize)
	o.isDecimal("keyslots_size", keyslotsSize)
	o.done("flags", "requirements")
}

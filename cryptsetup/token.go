package cryptsetup

// tokens checks that there are no tokens. LUKS2 specification, section 3.6. A
// token can tell other software where to get a passphrase; this profile version
// accepts none and names the type of each.
func (w *walker) tokens(n *node) {
	all := w.object(n, "token", "tokens")
	if all.n == nil {
		return
	}
	for i, key := range all.n.keys {
		kind := "without type"
		t := w.object(all.n.vals[i], "token", step("tokens", key))
		if n := t.find("type"); n != nil {
			kind = "of type " + n.describe()
		}
		if t.n != nil {
			w.add("token", t.path, "token %s, and profile version %d accepts none", kind, ProfileVersion)
		}
	}
}

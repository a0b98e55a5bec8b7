package cryptsetup

import "math"

// token is the one that authenticates the header. LUKS2 specification, section 3.6.
// cryptsetup keeps a token of a type that it does not know, and asks nothing of it.
type token struct {
	epoch uint64
	mac   []byte // nil while it is computed
}

const (
	tokenType    = "trusted-store-header"
	tokenID      = "0"
	tokenVersion = 1
	maxEpoch     = math.MaxInt64
)

func (t *token) encode(e *encoder) {
	e.object(tokenID, func() {
		e.text("type", tokenType)
		e.list("keyslots", nil)
		e.number("version", tokenVersion)
		e.decimal("epoch", t.epoch)
		e.base64("mac", t.mac)
	})
}

// tokens reads the token that authenticates the header, if there is one. Another one
// can tell other software where to get a passphrase; this profile version accepts none
// of those and names the type of each.
func (w *walker) tokens(n *node) (found *token) {
	all := w.object(n, "token", "tokens")
	if all.n == nil {
		return nil
	}
	for i, key := range all.n.keys {
		o := w.object(all.n.vals[i], "token", step("tokens", key))
		switch kind := o.find("type"); {
		case o.n == nil: // reported
		case kind == nil:
			w.add("token", o.path, "token without type, and profile version %d accepts only %s", ProfileVersion, quote(tokenType))
		case kind.kind != '"' || kind.text != tokenType:
			w.add("token", o.path, "token of type %s, and profile version %d accepts only %s", kind.describe(), ProfileVersion, quote(tokenType))
		case key != tokenID:
			w.add("token.id", o.path, "found %s, expected only %s", quote(key), quote(tokenID))
		default:
			found = w.token(o)
		}
	}
	return found
}

func (w *walker) token(o *object) *token {
	o.refersTo("keyslots", nil)
	o.isNumber("version", tokenVersion)
	t := &token{}
	var ok bool
	if t.epoch, ok = o.decimal("epoch"); ok && (t.epoch == 0 || t.epoch > maxEpoch) {
		o.refuse("epoch", "found %d, expected 1 to %d", t.epoch, uint64(maxEpoch))
	}
	t.mac = o.bytes("mac", hmacSize)
	o.done()
	return t
}

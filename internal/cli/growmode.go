package cli

import "errors"

// AsUsed is the value of a flag that says how a store grows: "full" (false) or
// "as-used".
type AsUsed bool

// Type is what help calls it.
func (g *AsUsed) Type() string { return "MODE" }

func (g *AsUsed) String() string {
	if *g {
		return "as-used"
	}
	return "full"
}

// Set parses it.
func (g *AsUsed) Set(text string) error {
	if text != "full" && text != "as-used" {
		return errors.New("expected full or as-used")
	}
	*g = text == "as-used"
	return nil
}

package dm

import "fmt"

// Matches compares a live table with the one that was meant, line by line and by
// meaning: an argument that a kernel leaves out because the mode does not use it
// is no difference; another value, and an argument that nobody asked for, is one.
// The error names the first difference and wraps [ErrTableDiffers].
func (t Table) Matches(live Table) error {
	if len(live) != len(t) {
		return fmt.Errorf("%w: %d lines, want %d", ErrTableDiffers, len(live), len(t))
	}
	for i, want := range t {
		if live[i].Start != want.Start || live[i].Length != want.Length || !same(want.Target, live[i].Target) {
			return fmt.Errorf("%w: line %d is %q, want %q", ErrTableDiffers, i, live[i], want)
		}
	}
	return nil
}

// same compares what was meant with what is live.
func same(want, live Target) bool {
	switch want := want.(type) {
	case Crypt:
		live, ok := live.(Crypt)
		return ok && want.normal() == live.normal()
	case Integrity:
		live, ok := live.(Integrity)
		return ok && want.normal(live) == live.normal(live)
	}
	return want.Kind() == live.Kind() && want.Params() == live.Params()
}

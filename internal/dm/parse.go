package dm

import "bytes"

// Unknown is a target of a live table that this package does not read. It cannot
// be loaded.
type Unknown struct {
	Name string // the kernel's name of the target
	Text string // its parameters; left out where they may hold a key
	Err  error  // why a known target's parameters could not be read
}

// Kind returns the kernel's name of the target.
func (u Unknown) Kind() string { return u.Name }

// Params returns the parameters as the kernel prints them, or why they could not
// be read.
func (u Unknown) Params() string {
	if u.Err != nil {
		return "(cannot be read: " + u.Err.Error() + ")"
	}
	return u.Text
}

// ParseTarget reads the parameters of a target of a live table, as any kernel
// prints them. What it cannot read becomes [Unknown]. It makes no copy of a key
// that a table holds.
func ParseTarget(kind string, params []byte) Target {
	var t Target
	var err error
	switch kind {
	case "linear":
		t, err = parseLinear(params)
	case "integrity":
		t, err = parseIntegrity(params)
	case "crypt":
		t, err = parseCrypt(params)
	default:
		return parseOther(kind, params)
	}
	if err != nil {
		return Unknown{Name: kind, Err: err}
	}
	return t
}

func parseOther(kind string, params []byte) Target {
	text := string(bytes.TrimSpace(params))
	switch {
	case kind == "error" && text == "":
		return Error{}
	case kind == "zero" && text == "":
		return Zero{}
	}
	return Unknown{Name: kind, Text: text}
}

package storage

import (
	"errors"
	"slices"
	"strings"
)

// Result is how a [Check] ended.
type Result string

// The results of checks.
const (
	CheckOK      Result = "ok"
	CheckWarning Result = "warning" // a store can be made; something is worse than it could be, or is not known
	CheckFails   Result = "fails"   // no store can be made
)

// Check is one thing that a store needs, and what was found.
type Check struct {
	Result Result `json:"result"`
	Thing  string `json:"thing"`
	// Found is what is there, or what is wrong.
	Found string `json:"found"`
	// Advice is what to do about it; empty when all is well.
	Advice string `json:"advice,omitempty"`
	// Options are the options of the kernel's configuration that it needs.
	Options []string `json:"options,omitempty"`

	err error // what fails
}

// Diagnosis is what [Diagnose] found, in the order of the checks.
type Diagnosis struct {
	Checks []Check `json:"checks"`
}

// Diagnose looks at what a store needs of this machine, and whether the block
// device, a path or MAJ:MIN, could hold one. Without a device, "", it leaves that
// out. It writes to no device, and leaves no mapping; the kernel may load modules
// that a store needs anyhow. What only root can find out is a warning without root.
func Diagnose(device string) *Diagnosis {
	d := &Diagnosis{Checks: slices.Concat(checkPrivilege(), checkKernel(), checkMachine())}
	if device != "" {
		d.Checks = append(d.Checks, checkDevice(device)...)
	}
	return d
}

// Err is nil when a store can be made, or the device's be opened. Else it wraps
// [ErrPermission] without root, [ErrInvalid] without a device, [ErrNotSupported], [ErrBusy],
// [ErrNotBlank] or [ErrUnsuitable], as [Create] would; the first that fails.
func (d *Diagnosis) Err() error {
	for _, c := range d.Checks {
		if c.Result == CheckFails {
			return c.err
		}
	}
	return nil
}

func passes(thing, found string, options ...string) Check {
	return Check{Result: CheckOK, Thing: thing, Found: found, Options: options}
}

func warns(thing, found, advice string, options ...string) Check {
	return Check{Result: CheckWarning, Thing: thing, Found: found, Advice: advice, Options: options}
}

// fails takes the words and the advice from err, which this package explains.
func fails(thing string, err error, advice string, options ...string) Check {
	explained := new(Error)
	if !errors.As(failure("doctor", "", "", err), &explained) {
		explained = &Error{Op: "doctor", Err: err}
	}
	if explained.Hint != "" {
		advice = explained.Hint
	}
	return Check{Result: CheckFails, Thing: thing, Found: strings.ReplaceAll(explained.Error(), "\n", "; "), Advice: advice, Options: options, err: explained}
}

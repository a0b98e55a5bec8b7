package cryptsetup

import (
	"fmt"
	"strconv"
	"strings"
)

// Violation is one way in which a header is outside the profile.
type Violation struct {
	// Rule is the stable name of the rule, such as "segment.encryption".
	Rule string `json:"rule"`
	// Where is the place in the header, such as "segments.0.encryption" or
	// "second copy"; may be empty.
	Where string `json:"where,omitempty"`
	// Detail says what was found and what was expected. Bytes of the header in
	// it are quoted, printable and cut to a bounded length.
	Detail string `json:"detail"`
}

// String returns rule, place and detail on one line.
func (v Violation) String() string {
	if v.Where == "" {
		return v.Rule + ": " + v.Detail
	}
	return v.Rule + " (" + v.Where + "): " + v.Detail
}

// maxPerRule bounds a report about a header that is wrong everywhere, so that
// one rule broken many times does not hide another.
const maxPerRule = 16

// faults collects violations.
type faults struct {
	list    []Violation
	count   map[string]int
	omitted int
}

func (f *faults) add(rule, where, format string, args ...any) {
	if f.count == nil {
		f.count = map[string]int{}
	}
	if f.count[rule]++; f.count[rule] > maxPerRule {
		f.omitted++
		return
	}
	f.list = append(f.list, Violation{rule, where, fmt.Sprintf(format, args...)})
}

func (f *faults) any() bool { return len(f.list) > 0 }

func (f *faults) violations() []Violation {
	if f.omitted == 0 {
		return f.list
	}
	return append(f.list[:len(f.list):len(f.list)],
		Violation{RuleOmitted, "", fmt.Sprintf("%d more violations are not listed", f.omitted)})
}

func (f *faults) err() error {
	if !f.any() {
		return nil
	}
	return &RejectedError{Violations: f.violations()}
}

// maxQuoted bounds how many bytes of a hostile value a message repeats.
const maxQuoted = 64

// quote makes bytes of a header safe to print: ASCII, escaped, bounded.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + fmt.Sprintf(" (%d bytes)", len(s))
	}
	return strconv.QuoteToASCII(s)
}

// step appends a JSON key to a path, quoted unless it is a plain name.
func step(path, key string) string {
	if !plainName(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func plainName(s string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && len(s) <= maxQuoted && strings.Trim(s, plain) == ""
}

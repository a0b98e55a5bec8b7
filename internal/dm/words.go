package dm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// words are the parameters of a target, separated by spaces, read one after the
// other. The first thing that is not what it must be stays in err.
type words struct {
	left []string
	err  error
}

func wordsOf(params [][]byte) *words {
	w := &words{}
	for _, p := range params {
		w.left = append(w.left, string(p))
	}
	return w
}

func (w *words) next() string {
	if len(w.left) == 0 {
		w.fail("a parameter is missing")
		return ""
	}
	word := w.left[0]
	w.left = w.left[1:]
	return word
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *words) number() uint64 {
	word := w.next()
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil && w.err == nil {
		w.fail("%q is no number", word)
	}
	return n
}

func (w *words) device() Device {
	word := w.next()
	d, err := ParseDevice(word)
	if err != nil && w.err == nil {
		w.err = err
	}
	return d
}

// end refuses parameters behind the last one.
func (w *words) end() {
	if len(w.left) > 0 {
		w.fail("%d parameters too many", len(w.left))
	}
}

// flagOption is an option that is there or not.
type flagOption struct {
	name string
	on   *bool
}

func setFlags(flags []flagOption) (names []string) {
	for _, f := range flags {
		if *f.on {
			names = append(names, f.name)
		}
	}
	return names
}

// options reads a counted list of options, or nothing, and returns those that
// neither flags nor take know: sorted, since their order says nothing. Take gets
// "NAME:VALUE".
func (w *words) options(flags []flagOption, take func(name, value string) bool) string {
	if len(w.left) == 0 {
		return ""
	}
	if count := w.number(); count != uint64(len(w.left)) {
		w.fail("%d options, and %d are announced", len(w.left), count)
	}
	var foreign []string
	seen := map[string]bool{}
	for _, option := range w.left {
		name, value, valued := strings.Cut(option, ":")
		if seen[name] {
			w.fail("option %s twice", name)
		}
		seen[name] = true
		at := slices.IndexFunc(flags, func(f flagOption) bool { return f.name == option })
		switch {
		case at >= 0:
			*flags[at].on = true
		case !valued || !take(name, value):
			foreign = append(foreign, option)
		}
	}
	slices.Sort(foreign)
	return strings.Join(foreign, " ")
}

// setInt reads a positive number as a kernel prints it.
func setInt(to *int, text string) bool {
	var n uint64
	if !setUint(&n, text) || n > 1<<31-1 {
		return false
	}
	*to = int(n)
	return true
}

func setUint(to *uint64, text string) bool {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return false
	}
	*to = n
	return true
}

// optionList prints a counted list of options, nothing for none.
func optionList(options []string) string {
	if len(options) == 0 {
		return ""
	}
	return fmt.Sprintf(" %d %s", len(options), strings.Join(options, " "))
}

package guestpull

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxQuoted bounds, in bytes, what an error repeats of somebody else's text.
	maxQuoted = 256
	// maxText bounds the text of an error as a whole.
	maxText = 1024
)

// quote is somebody else's text as an error repeats it: on one line, without what
// a terminal would obey, and no longer than maxQuoted.
func quote(text string) string {
	n := min(len(text), maxQuoted-2)
	for {
		quoted := strconv.Quote(text[:n])
		if n < len(text) {
			quoted += "…"
		}
		if len(quoted) <= maxQuoted {
			return quoted
		}
		n -= max((len(quoted)-maxQuoted)/4, 1)
	}
}

// printable makes the text of an error fit for terminals, logs and agents, whatever
// the errors inside it repeat. What cannot be printed is escaped, and parts that
// were joined stand on one line.
func printable(err error) error {
	text := err.Error()
	if shown := fit(text); shown != text {
		return &printed{shown, err}
	}
	return err
}

type printed struct {
	text string
	err  error
}

func (p *printed) Error() string { return p.text }
func (p *printed) Unwrap() error { return p.err }

// fit escapes what cannot be printed, and cuts what is too long.
func fit(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case b.Len() > maxText:
			return b.String() + "…"
		case r == '\n':
			b.WriteString("; ")
		case r == utf8.RuneError && strings.HasPrefix(text[i:], "\uFFFD"), strconv.IsPrint(r) && r != utf8.RuneError:
			b.WriteRune(r)
		default:
			_, size := utf8.DecodeRuneInString(text[i:])
			q := strconv.Quote(text[i : i+size])
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

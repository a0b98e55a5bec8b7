package cli

import "strings"

// Fold wraps the lines of a text that are longer than [Columns]. A line of cells goes on
// below its second one, any other with two more spaces. A word that is too long
// stays whole.
func Fold(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if len(strings.TrimSuffix(line, "\n")) <= Columns {
			out.WriteString(line)
			continue
		}
		start, indent := hanging(line)
		rest := Wrap(line[start:], Columns-indent)
		out.WriteString(line[:start] + strings.Join(rest, "\n"+strings.Repeat(" ", indent)) + "\n")
	}
	return out.String()
}

// hanging returns where the text begins that may be wrapped, and how far what goes
// on is indented.
func hanging(line string) (start, indent int) {
	text := strings.TrimLeft(line, " ")
	first := len(line) - len(text)
	if label, _, found := strings.Cut(text, "  "); found {
		cell := strings.TrimLeft(text[len(label):], " ")
		if second := len(line) - len(cell); second <= Columns/2 {
			return second, second
		}
	}
	return first, first + 2
}

package reference

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// section of the manual for programs of the administrator.
const section = "8"

const widthOfOptions = 72 // 80 without what man(1) indents

// pageName is that of a verb's manual page.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manualPage is one for a verb, in the macros of man(7).
func manualPage(c *cobra.Command, date time.Time) string {
	var m manual
	c.InitDefaultHelpFlag()
	m.request("TH", strings.ToUpper(pageName(c)), section, date.Format("2006-01-02"), c.Root().Name(), "Trusted guest storage")
	m.section("NAME", pageName(c)+` \- `+escaped(c.Short)+"\n")
	m.section("SYNOPSIS", escaped(c.UseLine())+"\n")
	long := c.Long
	if long == "" {
		long = c.Short
	}
	m.section("DESCRIPTION", paragraphs(long))
	m.section("OPTIONS", verbatim(c.LocalFlags().FlagUsagesWrapped(widthOfOptions)))
	m.section("OPTIONS OF ALL VERBS", verbatim(c.InheritedFlags().FlagUsagesWrapped(widthOfOptions)))
	m.section("EXAMPLES", verbatim(c.Example))
	m.section("SEE ALSO", seeAlso(c))
	return m.String()
}

func seeAlso(c *cobra.Command) string {
	var pages []string
	if c.HasParent() {
		pages = append(pages, pageName(c.Parent()))
	}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			pages = append(pages, pageName(below))
		}
	}
	for i, p := range pages {
		pages[i] = `.BR ` + escaped(p) + ` (` + section + `)`
	}
	return strings.Join(pages, ",\n") + "\n"
}

// manual is a page under way.
type manual struct{ strings.Builder }

func (m *manual) request(name string, args ...string) {
	fmt.Fprintf(m, ".%s", name)
	for _, a := range args {
		fmt.Fprintf(m, ` "%s"`, strings.ReplaceAll(escaped(a), `"`, `\(dq`))
	}
	m.WriteByte('\n')
}

// section adds one, unless it is empty. The text is roff already.
func (m *manual) section(title, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	m.request("SH", title)
	m.WriteString(text)
}

// escaped is text that roff takes as it is.
func escaped(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...").Replace(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// paragraphs fills lines; those that are indented stay as they are.
func paragraphs(text string) string {
	var b strings.Builder
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, " ") {
			b.WriteString(verbatim(p))
		} else {
			b.WriteString(escaped(p) + "\n")
		}
	}
	return b.String()
}

// verbatim keeps lines as they are.
func verbatim(text string) string {
	text = strings.Trim(text, "\n")
	if text == "" {
		return ""
	}
	return ".nf\n" + escaped(text) + "\n.fi\n"
}

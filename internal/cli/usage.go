package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Columns is how wide help and output are at the most, where no single word is
// wider.
const Columns = 80

// writeHelp prints what a command is for, and how it is used.
func writeHelp(c *cobra.Command, _ []string) {
	w := c.OutOrStdout()
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	for _, paragraph := range strings.Split(text, "\n\n") {
		fmt.Fprintf(w, "%s\n\n", strings.Join(Wrap(paragraph, Columns), "\n"))
	}
	_ = c.Usage() // the terminal's errors are nobody's to handle
}

// writeUsage prints how a command is used, within Columns: what it holds in the
// order of use, and flags with their text wrapped.
func writeUsage(c *cobra.Command) error {
	w := c.OutOrStdout()
	fmt.Fprintf(w, "Usage:\n  %s\n", useLine(c))
	if c.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		writeCommands(w, c)
	}
	writeFlags(w, "Flags", c.LocalNonPersistentFlags().FlagUsagesWrapped(Columns))
	writeFlags(w, "Flags of every command", c.Root().PersistentFlags().FlagUsagesWrapped(Columns))
	if !c.HasParent() {
		fmt.Fprintf(w, "\n%s\n", ExitHelp)
	}
	return nil
}

// useLine is the form of the command line; one that holds others does nothing by
// itself.
func useLine(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	return c.UseLine()
}

func writeFlags(w io.Writer, title, usages string) {
	if usages = strings.TrimRight(usages, " \n"); usages != "" {
		fmt.Fprintf(w, "\n%s:\n%s\n", title, usages)
	}
}

// writeCommands prints what c holds, group by group, and last what is in none.
func writeCommands(w io.Writer, c *cobra.Command) {
	rest := "Commands"
	if len(c.Groups()) > 0 {
		rest = "Help"
	}
	for _, g := range append(c.Groups(), &cobra.Group{Title: rest}) {
		title := "\n" + g.Title + ":\n"
		for _, sub := range c.Commands() {
			if sub.GroupID == g.ID && (sub.IsAvailableCommand() || sub.Name() == "help") {
				fmt.Fprintf(w, "%s  %-*s %s\n", title, sub.NamePadding(), sub.Name(), sub.Short)
				title = ""
			}
		}
	}
}

// Wrap breaks text at its spaces into lines of at most that many characters, where
// no word is longer.
func Wrap(text string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && len([]rune(lines[last]))+1+len([]rune(word)) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

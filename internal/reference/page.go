package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Page is the help of every verb, one after the other, in Markdown.
func Page(root *cobra.Command) string {
	prepare(root)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n`make generate` writes this page, from what `--help` shows.\n", root.Name(), root.Short)
	for _, c := range verbs(root) {
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", c.CommandPath(), help(c))
	}
	return b.String()
}

// verbs are the command and all below it that help lists.
func verbs(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			all = append(all, verbs(below)...)
		}
	}
	return all
}

// help is what --help prints.
func help(c *cobra.Command) string {
	var b bytes.Buffer
	out := c.OutOrStdout()
	c.SetOut(&b)
	defer c.SetOut(out)
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	c.HelpFunc()(c, nil)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// prepare adds what cobra adds when a command runs.
func prepare(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
}

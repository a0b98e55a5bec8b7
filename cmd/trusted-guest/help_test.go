package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
)

// The help of every command fits on a terminal, and shows how it is used.
func TestHelpOfEveryCommand(t *testing.T) {
	seen := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		seen++
		var help strings.Builder
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		require.Equal(t, cli.ExitDone, run(t.Context(), args, &help, io.Discard))
		for line := range strings.Lines(help.String()) {
			require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), cli.Columns, "%s: %s", c.CommandPath(), line)
		}
		require.Contains(t, help.String(), "print this help", c.CommandPath())
		if c.HasAvailableSubCommands() {
			for _, sub := range c.Commands() {
				walk(sub)
			}
			return
		}
		require.NotEmpty(t, c.Example, "%s has no example", c.CommandPath())
		require.Contains(t, c.Example, c.Root().Name()+" ", "%s", c.CommandPath())
	}
	walk((&app{out: io.Discard, err: io.Discard}).root())
	require.Greater(t, seen, 6)
}

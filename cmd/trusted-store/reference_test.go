package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/internal/reference"
)

var (
	writeReference = flag.Bool("reference", false, "write docs/trusted-store.md anew: make generate")
	writeShare     = flag.String("share", "", "write manual pages and completion below `DIR`: make share")
	dateOfPages    = flag.Int64("date", 0, "the date of the manual pages, in `SECONDS` since 1970")
)

func commandTree() *cobra.Command { return (&app{out: io.Discard, err: io.Discard}).root() }

// The page of all verbs is what --help shows, and make share writes the rest.
func TestReference(t *testing.T) {
	reference.RequirePage(t, commandTree(), *writeReference)
	reference.RequireShare(t, commandTree(), *writeShare, *dateOfPages)
}

func TestHelpOfEveryCommand(t *testing.T) {
	reference.RequireHelp(t, commandTree(), cli.Columns, func(args []string) string {
		var help strings.Builder
		require.Equal(t, cli.ExitDone, run(t.Context(), args, &help, io.Discard))
		return help.String()
	})
}

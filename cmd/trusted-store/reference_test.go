package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

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
	const name = "../../docs/trusted-store.md"
	page := reference.Page(commandTree())
	if *writeReference {
		require.NoError(t, os.WriteFile(name, []byte(page), 0o644))
	}
	have, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, page, string(have), "make generate writes docs/trusted-store.md anew")

	dir := *writeShare
	if dir == "" {
		dir = t.TempDir()
	}
	require.NoError(t, reference.Install(commandTree(), dir, time.Unix(*dateOfPages, 0).UTC()))
	for _, file := range []string{"man/man8/trusted-store.8", "bash-completion/completions/trusted-store"} {
		require.FileExists(t, filepath.Join(dir, file))
	}
}

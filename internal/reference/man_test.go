package reference

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// What roff could take for its own is shown as it is.
func TestManualPage(t *testing.T) {
	const long = "Of names_with_parts, *stars*, <angles>, it's \\n and\n.SH dots…\n\n  indented  --flag"
	root := &cobra.Command{Use: "tool"}
	c := &cobra.Command{Use: "do THING", Short: "Do it - well", Long: long, Example: "  tool do 'it'", Run: func(*cobra.Command, []string) {}}
	c.Flags().String("name", "", "`NAME` (default some_thing_ and 5 characters)")
	root.AddCommand(c)
	page := manualPage(c, time.Unix(0, 0).UTC())
	require.Contains(t, page, `.TH "TOOL\-DO" "8" "1970\-01\-01" "tool"`)
	require.Contains(t, page, ".BR tool (8)\n")

	if _, err := exec.LookPath("groff"); err != nil {
		require.NotEqual(t, "required", os.Getenv("TRUSTED_STORE_BEDS"), "make setup installs groff")
		t.Skip("needs groff, to look at the page:", err)
	}
	cmd := exec.Command("groff", "-man", "-Tascii", "-P-cbou")
	cmd.Stdin = strings.NewReader(page)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &errs)
	require.Empty(t, errs.String())
	shown := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{`names_with_parts, *stars*, <angles>, it's \n and .SH dots...`, "indented --flag", "some_thing_", "tool do 'it'", "Do it - well"} {
		require.Contains(t, shown, want)
	}
}

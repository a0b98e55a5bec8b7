package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
)

func TestFold(t *testing.T) {
	word := strings.Repeat("x", 30)
	long := strings.Repeat("y", 90)
	row := strings.Repeat("z", cli.Columns)
	for text, want := range map[string]string{
		"":                                    "",
		"short\n\nlines\n":                    "short\n\nlines\n",
		row + "\n" + row + "\n":               row + "\n" + row + "\n",
		word + " " + word + " " + word + "\n": word + " " + word + "\n  " + word + "\n",
		"  a:   " + word + " " + long + "\n":  "  a:   " + word + "\n       " + long + "\n",
		"  a:   " + long + " b\nc\n":          "  a:   " + long + "\n       b\nc\n",
		"  rule: " + row + "\n":               "  rule:\n    " + row + "\n",
	} {
		require.Equal(t, want, cli.Fold(text), "%q", text)
	}
}

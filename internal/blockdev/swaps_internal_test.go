package blockdev

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSwap(t *testing.T) {
	area, ok := parseSwap("/dev/a\\040b                             partition\t131068\t\t1024\t\t-2\n")
	require.True(t, ok)
	require.Equal(t, SwapArea{"/dev/a b", 131068 << 10, 1 << 20, -2}, area)
	for _, line := range []string{
		"", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n", "/swapfile file 131068 0 -2\n", "/dev/a partition 1 0\n",
		"/dev/a partition x 0 -2\n", "/dev/a partition 99999999999999999999 0 -2\n",
	} {
		_, ok := parseSwap(line)
		require.False(t, ok, line)
	}
}

package integrity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

func TestStatusIsCompared(t *testing.T) {
	l := plan(t, 64<<11, integrity.MinimalJournal)
	status := func(params ...string) []dm.LiveLine {
		var lines []dm.LiveLine
		for _, p := range params {
			lines = append(lines, dm.LiveLine{Length: l.ProvidedSectors, Kind: "integrity", Params: p})
		}
		return lines
	}
	require.NoError(t, integrity.CheckStatus(l, status("0 97264 -")))
	require.NoError(t, integrity.CheckStatus(l, status("7 97264 -")), "mismatches are not the layout's concern")
	for name, lines := range map[string][]dm.LiveLine{
		"no line":       nil,
		"two lines":     status("0 97264 -", "0 97264 -"),
		"nothing":       status(""),
		"smaller":       status("0 97256 -"),
		"larger":        status("0 97272 -"),
		"recalculating": status("0 97264 0"),
		"more fields":   status("0 97264 - -"),
	} {
		require.ErrorIs(t, integrity.CheckStatus(l, lines), integrity.ErrKernelDisagrees, name)
	}
}

package integrity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/internal/dm"
)

func TestStatusIsCompared(t *testing.T) {
	l := plan(t, 64<<11, integrity.MinimalJournal)
	require.NoError(t, integrity.CheckStatus(l, dm.IntegrityStatus{ProvidedSectors: 97264}))
	require.NoError(t, integrity.CheckStatus(l, dm.IntegrityStatus{ProvidedSectors: 97264, Mismatches: 7}), "mismatches are not the layout's concern")
	for name, status := range map[string]dm.IntegrityStatus{
		"nothing":       {},
		"smaller":       {ProvidedSectors: 97256},
		"larger":        {ProvidedSectors: 97272},
		"recalculating": {ProvidedSectors: 97264, Recalculating: true},
	} {
		require.ErrorIs(t, integrity.CheckStatus(l, status), integrity.ErrKernelDisagrees, name)
	}
}

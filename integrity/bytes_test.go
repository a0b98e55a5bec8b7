package integrity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/integrity"
)

// The same input makes the same bytes, on every CPU: a sum of what amd64 made.
func TestBytesAreTheSameOnEveryCPU(t *testing.T) {
	h := sha256.New()
	for _, sectors := range []uint64{64 << 11, 2500 << 11, 56 << 21, 15 << 31} {
		for _, journal := range []integrity.Journal{integrity.DefaultJournal, integrity.MinimalJournal} {
			h.Write(plan(t, sectors, journal).Superblock().Bytes())
		}
		l, err := integrity.PlanSeparate(sectors)
		require.NoError(t, err)
		h.Write(l.Superblock().Bytes())
	}
	require.Equal(t, "5cf8ebefb7664e7519aa95764d2b5d8a", hex.EncodeToString(h.Sum(nil)[:16]))
}

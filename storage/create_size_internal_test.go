package storage

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTwoSizesDiffer(t *testing.T) {
	for _, c := range []struct {
		a, b uint64
		want [2]string
	}{
		{18 << 20, 20<<20 + 600<<10, [2]string{"18.0 MiB", "20.6 MiB"}},
		{64<<20 - 4096, 64 << 20, [2]string{"63.996 MiB", "64.000 MiB"}},
		{1<<40 - 512, 1 << 40, [2]string{"1023.9999995 GiB", "1.0000000000 TiB"}},
		{0, 100 << 30, [2]string{"0 B", "100 GiB"}},
		{5, 5, [2]string{"5 B", "5 B"}},
	} {
		a, b := twoSizes(c.a, c.b)
		require.Equal(t, c.want, [2]string{a, b})
	}
}

package cryptsetup

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

// What cryptsetup wrote comes out again byte for byte.
func TestWritesWhatCryptsetupWritesOnEveryCPU(t *testing.T) {
	good, err := vector.Load(filepath.Join("..", "testdata", "luks2", "good"))
	require.NoError(t, err)
	compared := 0
	for _, v := range good {
		b := make([]byte, len(v.Bytes)+v.Tail)
		copy(b, v.Bytes)
		e := examine(b, Profile{Integrity: AnyIntegrity, MaxArgon2Memory: 1 << 30})
		require.Empty(t, e.list, v.Name)
		text, _, _ := strings.Cut(string(b[binarySize:]), "\x00")
		require.Equal(t, text, string(e.meta.encode()), v.Name)
		compared++
	}
	require.Greater(t, compared, 10)
}

func TestCopiesAreWhatCryptsetupWritesOnEveryCPU(t *testing.T) {
	good, err := vector.Load(filepath.Join("..", "testdata", "luks2", "good"))
	require.NoError(t, err)
	for _, v := range good {
		for n := range magics {
			b := v.Bytes[n*copySize : (n+1)*copySize]
			require.Equal(t, b, encodeCopy(parseBinary(b), b[binarySize:]), "%s, %s", v.Name, copyNames[n])
		}
	}
}

package cryptsetup

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsAligned(t *testing.T) {
	var keep [][]byte
	for n := 1; n < 3000; n += 7 { // small sizes: Go aligns large ones by itself
		b := alignedBytes(n)
		require.Len(t, b, n)
		require.Equal(t, n, cap(b))
		require.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(b)))%blockSize)
		keep = append(keep, b)
	}
	require.NotEmpty(t, keep)
}

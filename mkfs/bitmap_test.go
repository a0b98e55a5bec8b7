package mkfs_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/mkfs"
)

// usedBlocks reads the block bitmaps of an image: a second, small reading of the format. The value is 1 for each block
// in use.
func usedBlocks(t *testing.T, image io.ReaderAt, l *mkfs.Layout) map[uint64]int {
	t.Helper()
	const perGroup = 8 * mkfs.BlockSize
	used := make(map[uint64]int)
	descriptor, bitmap := make([]byte, 64), make([]byte, mkfs.BlockSize)
	for group := range l.Groups {
		readAt(t, image, descriptor, mkfs.BlockSize+64*group)
		at := uint64(binary.LittleEndian.Uint32(descriptor)) | uint64(binary.LittleEndian.Uint32(descriptor[0x20:]))<<32
		readAt(t, image, bitmap, at*mkfs.BlockSize)
		for i := range uint64(perGroup) {
			n := group*perGroup + i
			if bitmap[i/8]>>(i%8)&1 == 1 && n < l.Blocks {
				used[n] = 1
			}
		}
	}
	return used
}

func readAt(t *testing.T, r io.ReaderAt, b []byte, off uint64) {
	t.Helper()
	_, err := r.ReadAt(b, int64(off))
	require.NoError(t, err)
}

package blockdev

import (
	"fmt"
	"io"
	"os"
)

// size returns the bytes of an open block device. Seeking to the end is the
// same on every architecture, unlike BLKGETSIZE64.
func size(f *os.File) (uint64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the size: %w", err)
	}
	return uint64(end), nil
}

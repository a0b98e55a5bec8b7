package mkfs_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

func openDirect(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0) }

// e2fsck asks for the time as time(2) does, which is up to a tick behind, and complains about a filesystem written later
// than that.
func TestFormatIsNotAheadOfTheCoarseClock(t *testing.T) {
	const writeTime = 1024 + 0x30
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	require.NoError(t, err)
	defer f.Close()
	for range 3 {
		second := time.Now().Truncate(time.Second).Add(time.Second)
		time.Sleep(time.Until(second) - 5*time.Millisecond)
		for time.Now().Before(second) {
		}
		_, err = mkfs.Format(context.Background(), f, mkfs.MinSize, mkfs.Options{})
		require.NoError(t, err)
		var now unix.Timespec
		require.NoError(t, unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now))
		var written [4]byte
		_, err = f.ReadAt(written[:], writeTime)
		require.NoError(t, err)
		require.LessOrEqual(t, binary.LittleEndian.Uint32(written[:]), uint32(now.Sec))
	}
}

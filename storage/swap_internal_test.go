package storage

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Our header is, byte for byte, that of mkswap.
func TestSwapHeaderIsMkswaps(t *testing.T) {
	mkswap := storagetest.Tool(t, "mkswap")
	const size = 1<<20 + 512
	id := uuid.MustParse("785c439d-9f7b-427a-bf6d-c7b0ff921b9f")
	file := filepath.Join(t.TempDir(), "swap")
	require.NoError(t, os.WriteFile(file, make([]byte, size), 0o600))
	out, err := exec.Command(mkswap, "-U", id.String(), "-L", "fifteen letters", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	theirs, err := os.ReadFile(file)
	require.NoError(t, err)
	ours := make([]byte, os.Getpagesize())
	ours[5] = 1 // what was there before
	swapHeader(ours, size, id, "fifteen letters")
	require.Equal(t, theirs[:len(ours)], ours)
}

package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// The program is one file that needs no libraries, and of a size that fits into a
// guest image.
func TestStaticBinary(t *testing.T) {
	if storagetest.Bed() != "" || testing.Short() {
		t.Skip("builds the program: on the host, and not with -short")
	}
	out := filepath.Join(t.TempDir(), "trusted-guest")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	f, err := elf.Open(out)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type)
		require.NotEqual(t, elf.PT_DYNAMIC, p.Type)
	}
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(16<<20))
	t.Logf("%d bytes", info.Size())
}

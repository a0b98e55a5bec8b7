package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/storagetest"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

// Every hostile header: inspect ends with status 3 and names each rule that it
// breaks.
func TestInspectRefusesEveryVector(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	const root = "../../testdata/luks2/"
	path, tried := filepath.Join(t.TempDir(), "device"), 0
	for _, dir := range []string{"hostile", "foreign"} {
		all, err := vector.Load(root + dir)
		require.NoError(t, err)
		for _, v := range all {
			tried++
			device, err := v.Device(root)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, device, 0o600))
			var out, errOut bytes.Buffer
			require.Equal(t, cli.ExitRejected, run(t.Context(), []string{"inspect", path, "--integrity", v.Integrity}, &out, &errOut), v.Name)
			require.Empty(t, errOut.String())
			for _, rule := range v.Rules {
				require.Contains(t, out.String(), "\n  "+rule, v.Name)
			}
		}
	}
	require.Greater(t, tried, 500)
}

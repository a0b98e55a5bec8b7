package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of each kind of CPU one: 64 bits little endian, big endian, and 32 bits.
var otherCPUs = []string{"arm64", "s390x", "386"}

func TestProductBuildsForEachOtherCPU(t *testing.T) {
	for _, cpu := range otherCPUs {
		build := exec.Command("go", "build", "./cmd/...", "./examples/...")
		build.Env = append(os.Environ(), "GOARCH="+cpu, "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s: %s", cpu, out)
	}
}

// Most ioctls write a C int. IoctlGetInt has them write into a Go int, of which a big
// endian CPU then reads the wrong half.
func TestIoctlsAreReadInTheTypeOfC(t *testing.T) {
	call := regexp.MustCompile(`\bunix\.IoctlGetInt\(`)
	require.NoError(t, filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.False(t, path != "cpus_test.go" && call.Match(text), "%s: use IoctlGetUint32", path)
		return nil
	}))
}

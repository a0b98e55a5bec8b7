package cryptsetup

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// ForEachCryptsetup runs a test with each of the cryptsetups: the host's and the
// newest that Debian has, which a bed has in its PATH and `make setup` puts into
// the cache. One that is absent is skipped, and fails the test in a bed or where
// all beds are required.
func ForEachCryptsetup(t *testing.T, f func(t *testing.T, cryptsetup string)) {
	for _, name := range storagetest.Cryptsetups() {
		t.Run(name, func(t *testing.T) {
			path, err := findTool(name)
			switch {
			case err == nil:
				f(t, path)
			case os.Getenv("TRUSTED_STORE_BEDS") == "required" || os.Getenv("TRUSTED_STORE_BED") != "":
				t.Fatalf("%v: run make setup", err)
			default:
				t.Skipf("%v: run make setup", err)
			}
		})
	}
}

func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return exec.LookPath(filepath.Join(cache, "trusted-store-guest", "debian", name, "run", name))
}

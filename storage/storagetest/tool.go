package storagetest

import (
	"os/exec"
	"runtime"
	"testing"
)

// Tool returns the path of a program that a test compares with, such as
// cryptsetup. Without it a test outside a bed is skipped; inside, it fails.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case Bed() == "":
		t.Skipf("needs the program %s: %v", name, err)
	default:
		t.Fatalf("bed %q: needs the program %s: %v", Bed(), name, err)
	}
	return ""
}

// Cryptsetups are the programs of cryptsetup that tests compare with: the bed's own
// and, as cryptsetup-newest, Debian's newest, which beds have for amd64 alone.
func Cryptsetups() []string {
	if runtime.GOARCH != "amd64" {
		return []string{"cryptsetup"}
	}
	return []string{"cryptsetup", "cryptsetup-newest"}
}

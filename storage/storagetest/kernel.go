package storagetest

import (
	"os"
	"testing"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// BedVariable is the environment variable that says which machine this is.
const BedVariable = "TRUSTED_STORE_BED"

// Bed returns "uml", "qemu" or "host" where tests may use the kernel, "" where
// they may not.
func Bed() string {
	switch bed := os.Getenv(BedVariable); bed {
	case "uml", "qemu", "host":
		return bed
	}
	return ""
}

// Kernel skips the test outside a bed, and says how to run it there. Inside, it
// fails the test unless the process is root and the kernel has every one of the
// features: names of device-mapper targets ("crypt", "integrity", "flakey", …).
func Kernel(t testing.TB, features ...string) {
	t.Helper()
	if Bed() == "" {
		t.Skipf("needs a kernel of its own: go test -exec 'go tool guest' (sets %s)", BedVariable)
	}
	if os.Geteuid() != 0 {
		t.Fatalf("bed %q: tests with a kernel need root", Bed())
	}
	c := control(t)
	for _, feature := range features {
		if _, err := c.Target(feature); err != nil {
			t.Fatalf("bed %q: %v", Bed(), err)
		}
	}
}

// control opens device-mapper until the end of the test.
func control(t testing.TB) *dm.Control {
	t.Helper()
	c, err := dm.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

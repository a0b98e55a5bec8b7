package storagetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// DropBuffers empties the kernel's memory of what is on disks: page caches, and
// the buffers in which dm-integrity keeps tags for minutes. A test that changes
// tags on the disk below a live mapping proves nothing without it.
//
// It writes everything out, and then reloads the table of every integrity mapping
// of the machine, which may stay in use: the new table starts with no buffers.
// The kernel's own ways do not do: dm-bufio looks at ages every 30 seconds only,
// and its shrinker frees once and then counts wrongly.
func DropBuffers(t testing.TB) {
	t.Helper()
	unix.Sync()
	c := control(t)
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range all {
		reloadIntegrity(t, c, info)
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
}

func reloadIntegrity(t testing.TB, c *dm.Control, info dm.Info) {
	t.Helper()
	live, err := c.Table(info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(live) != 1 || live[0].Target.Kind() != "integrity" {
		return
	}
	if err := c.Load(info.Name, live, dm.LoadOptions{ReadOnly: info.ReadOnly}); err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(info.Name); err != nil {
		t.Fatal(err)
	}
}

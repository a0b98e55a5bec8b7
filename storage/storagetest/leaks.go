package storagetest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/loop"
)

// CheckLeaks fails the test when, at its end, the machine has mappings, nodes of
// mappings, attached loop devices, mounts or logon keys that it did not have at
// this call. Call it first: clean-ups run in reverse order. The test must run
// alone.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before, err := acquired()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := leaked(before)
		if err != nil {
			t.Error(err)
		}
		for _, what := range left {
			t.Errorf("left behind: %s", what)
		}
	})
}

// Main runs the tests of a package and then checks for what they left, as
// [CheckLeaks] does. Outside a bed it only runs the tests.
//
//	func TestMain(m *testing.M) { storagetest.Main(m) }
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if Bed() == "" {
		return m.Run()
	}
	before, err := acquired()
	if err != nil {
		fmt.Fprintln(os.Stderr, "storagetest:", err)
		return 1
	}
	code := m.Run()
	left, err := leaked(before)
	for _, what := range left {
		fmt.Fprintln(os.Stderr, "storagetest: left behind:", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "storagetest:", err)
	}
	if len(left) > 0 || err != nil {
		return 1
	}
	return code
}

// The kernel lets go of some things a moment after the last user.
var leakWait = 30 * time.Second

func leaked(before map[string]bool) ([]string, error) {
	for end := time.Now().Add(leakWait); ; time.Sleep(20 * time.Millisecond) {
		after, err := acquired()
		if err != nil {
			return nil, err
		}
		var left []string
		for what := range after {
			if !before[what] {
				left = append(left, what)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left, nil
		}
	}
}

// acquired lists everything of the kinds that a store acquires.
func acquired() (map[string]bool, error) {
	all := map[string]bool{}
	var errs []error
	for _, find := range []func(func(string)) error{mappings, nodes, loops, mounts, keys} {
		errs = append(errs, find(func(what string) { all[what] = true }))
	}
	return all, errors.Join(errs...)
}

func mappings(found func(string)) error {
	c, err := dm.Open()
	if errors.Is(err, dm.ErrNotSupported) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := c.List()
	for _, info := range all {
		found("mapping " + info.Name)
	}
	return errors.Join(err, c.Close())
}

func nodes(found func(string)) error {
	entries, err := os.ReadDir(dm.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != "control" {
			found("node " + filepath.Join(dm.Dir, e.Name()))
		}
	}
	return err
}

func loops(found func(string)) error {
	all, err := loop.List()
	for _, info := range all {
		found("loop device " + info.Path + " on " + info.Backing)
	}
	return err
}

func mounts(found func(string)) error {
	return eachLine("/proc/self/mountinfo", func(fields []string) {
		if len(fields) > 4 {
			found("mount " + fields[0] + " at " + fields[4])
		}
	})
}

// keys finds live logon keys; one that was revoked is removed by the kernel a
// moment later.
func keys(found func(string)) error {
	return eachLine("/proc/keys", func(fields []string) {
		// ID, flags, usage, timeout, permissions, uid, gid, type, description
		if len(fields) > 8 && fields[7] == "logon" && !strings.Contains(fields[1], "R") {
			found("logon key " + fields[0] + " " + fields[8])
		}
	})
}

func eachLine(path string, use func(fields []string)) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without this
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		use(strings.Fields(lines.Text()))
	}
	return lines.Err()
}

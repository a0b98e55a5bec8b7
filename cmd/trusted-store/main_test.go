package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

const (
	exitDone         = cli.ExitDone
	exitUsage        = cli.ExitUsage
	exitBusy         = cli.ExitBusy
	exitNotSupported = cli.ExitNotSupported
	exitInterrupted  = cli.ExitInterrupted
)

var update = flag.Bool("update", false, "write what the scripts compare with anew")

// Scripts and tests run this program as trusted-store, with its real main but that
// what it prints as JSON is held against its schema, as user-trusted-store, which is
// the same without root's privileges, and as systemd's generator.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"trusted-store":      mainWhenAllowed,
		"user-trusted-store": mainOfUser,
		generatorName:        func() { os.Exit(cli.Main("trusted-store", asNamed(generatorName))) },
	})
}

const nobody = 65534

func mainOfUser() {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		panic(err)
	}
	checkedMain()
}

// Scripts that need no kernel of their own.
func TestScript(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed, where every process takes long to start")
	}
	runScripts(t, "testdata/script")
}

// Scripts that make stores.
func TestKernelScript(t *testing.T) {
	kernel(t)
	runScripts(t, "testdata/kernel")
}

// Scripts that make stores and need several CPUs.
func TestScriptCPUs(t *testing.T) {
	kernel(t)
	if runtime.NumCPU() < 2 {
		t.Skip("needs several CPUs: go tool guest -bed qemu -cpus 4")
	}
	runScripts(t, "testdata/cpus")
}

// kernel prepares a test that makes stores: it skips outside a bed, and fails
// when the test leaves anything.
func kernel(t *testing.T) {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
}

func runScripts(t *testing.T, dir string) {
	testscript.RunT(alone{t}, testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			test := e.T().(alone)
			e.Values[theTest{}] = test
			e.Setenv("DM_DISABLE_UDEV", os.Getenv("DM_DISABLE_UDEV")) // dmsetup's
			if err := setHowTo(e); err != nil {
				return err
			}
			e.Defer(func() { release(test.T); closeAllAfterFailure(test.T) })
			return nil
		},
		Condition: func(text string) (bool, error) { return storagetest.Bed() == text, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "disk": disk, "write": writeBytes, "keys": keysOf,
			"growers": growers, "hold": hold,
		},
	})
}

// alone runs scripts one after the other: what they leave is looked for.
type alone struct{ *testing.T }

type theTest struct{}

func (a alone) Parallel()     {}
func (a alone) Verbose() bool { return testing.Verbose() }
func (a alone) Run(name string, f func(testscript.T)) {
	a.T.Run(name, func(t *testing.T) {
		if storagetest.Bed() != "" {
			storagetest.CheckLeaks(t)
		}
		f(alone{t})
	})
}

// closeAllAfterFailure keeps one failure from failing all that follows.
func closeAllAfterFailure(t *testing.T) {
	if !t.Failed() || storagetest.Bed() == "" {
		return
	}
	ctx := context.Background() // the test's own is over in a clean-up
	list, err := storage.List(ctx)
	for _, s := range list {
		err = errors.Join(err, storage.Close(ctx, s.Name))
	}
	if err != nil {
		t.Log("clean-up after the failure:", err)
	}
}

// exits N PROGRAM ARGS… runs a program, which must end with status N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, failure := 0, new(exec.ExitError)
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failure):
		got = failure.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status is %d, want %d", got, want)
	}
}

// disk VAR SIZE [ro|partscan] makes a disk and sets VAR to its path.
func disk(ts *testscript.TestScript, _ bool, args []string) {
	size, err := humanize.ParseBytes(args[1])
	ts.Check(err)
	t := testOf(ts)
	options := storagetest.DiskOptions{ReadOnly: slices.Contains(args, "ro")}
	path := storagetest.DiskWith(t, int64(size), options)
	if slices.Contains(args, "partscan") {
		ts.Check(lookForPartitions(path))
	}
	ts.Setenv(args[0], path)
}

// lookForPartitions lets the kernel have partitions on a loop device.
func lookForPartitions(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return err
	}
	info.Flags |= unix.LO_FLAGS_PARTSCAN
	return unix.IoctlLoopSetStatus64(int(f.Fd()), info)
}

// write DEVICE OFFSET BYTES writes to a device; \xNN is a byte.
func writeBytes(ts *testscript.TestScript, _ bool, args []string) {
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	text, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	storagetest.WriteBytes(testOf(ts), args[0], offset, []byte(text))
}

func testOf(ts *testscript.TestScript) *testing.T { return ts.Value(theTest{}).(alone).T }

// key is one that a key derivation for random keys is enough for.
const key = "0123456789abcdef0123456789abcdef\xff"

func writeKey(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/key"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

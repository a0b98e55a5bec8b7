package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Scripts and tests run this program as trusted-guest, with its real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trusted-guest": main})
}

func TestScript(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed, where every process takes long to start")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits N PROGRAM ARGS… runs a program, which must end with status N.
func exits(ts *testscript.TestScript, _ bool, args []string) {
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

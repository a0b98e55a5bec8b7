package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// growers none|killed: no process grows a store, or one did and is killed.
func growers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: growers none|killed")
	}
	found := findGrowers()
	for began := time.Now(); args[0] == "none" && len(found) > 0 && time.Since(began) < 30*time.Second; found = findGrowers() {
		time.Sleep(time.Millisecond) // one whose store was closed, or has its full size, is about to end
	}
	switch {
	case args[0] == "none" && len(found) > 0:
		ts.Fatalf("processes %v grow a store", found)
	case args[0] == "killed" && len(found) == 0:
		ts.Fatalf("no process grows a store")
	case args[0] == "killed":
		for _, pid := range found {
			ts.Check(syscall.Kill(pid, syscall.SIGKILL))
		}
		release(testOf(ts))
		for _, pid := range found { // its locks go after its command line
			for syscall.Kill(pid, 0) == nil {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// growersWait is there while the processes that create and open leave behind are not
// to begin. They get no environment to say so.
const growersWait = "/tmp/trusted-store-growers-wait"

// mainWhenAllowed is the main of scripts.
func mainWhenAllowed() {
	for slices.Equal(os.Args[:min(2, len(os.Args))], []string{"trusted-store", "grow"}) && slices.Contains(os.Args, "--as-used") {
		if _, err := os.Stat(growersWait); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	checkedMain()
}

// hold keeps growers from beginning, until they are killed; ! hold lets them.
func hold(ts *testscript.TestScript, neg bool, _ []string) {
	if neg {
		release(testOf(ts))
		return
	}
	ts.Check(os.WriteFile(growersWait, nil, 0o600))
}

func release(t testing.TB) {
	if err := os.Remove(growersWait); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// findGrowers finds the processes that create and open leave behind.
func findGrowers() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file) // empty: a zombie
		if err != nil || !strings.HasPrefix(string(line), "trusted-store\x00grow\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

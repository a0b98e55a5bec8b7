package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
		for _, pid := range found { // its locks go after its command line
			for syscall.Kill(pid, 0) == nil {
				time.Sleep(time.Millisecond)
			}
		}
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

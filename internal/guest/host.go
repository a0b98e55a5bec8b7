package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Exit statuses of the tool itself. Any other is the command's.
const (
	statusLeaks   = 123 // the command succeeded and left something behind
	statusTimeout = 124 // the guest was killed after -timeout
	statusFailed  = 125 // the guest could not start, died, or could not report
)

// runHost is the tool as a caller sees it.
func runHost(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, os.Environ(), stderr)
	if errors.Is(err, errHelp) {
		return 0
	}
	if err != nil {
		return fail(stderr, err)
	}
	if len(o.args) > 0 && o.args[0] == "setup" {
		if err := setup(o, o.args[1:], stderr); err != nil {
			return fail(stderr, err)
		}
		return 0
	}
	status, err := runGuest(o, stdout, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	return status
}

func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "guest:", err)
	var timeout *timeoutError
	if errors.As(err, &timeout) {
		return statusTimeout
	}
	return statusFailed
}

// runGuest boots a guest and runs the command in it. A guest that hangs or dies
// before it knows the command is followed by another.
func runGuest(o *options, stdout, stderr io.Writer) (int, error) {
	b := newBed(o)
	if missing := b.missing(); !missing.empty() {
		return 0, errNotInstalled(o.bed, missing)
	}
	last := len(bootLimits) - 1
	for _, limit := range bootLimits[:last] {
		status, err := bootGuest(b, o, limit, stdout, stderr)
		var timeout *timeoutError
		if hung := errors.As(err, &timeout) && timeout.phase == phaseBoot; !hung && !errors.Is(err, errDiedEarly) {
			return status, err
		}
		fmt.Fprintf(stderr, "guest: %v\nguest: booting another\n", err)
	}
	return bootGuest(b, o, bootLimits[last], stdout, stderr)
}

// bootGuest boots one guest, whose init has limit to answer, and runs the
// command in it.
func bootGuest(b bed, o *options, limit time.Duration, stdout, stderr io.Writer) (int, error) {
	s, err := newStart(o)
	if err != nil {
		return 0, err
	}
	m, host, err := newMachine(o)
	if err != nil {
		return 0, err
	}
	defer m.close()
	defer host.Close()
	cmd, err := b.command(m, s)
	if err != nil {
		return 0, err
	}
	finishEnv(o, s)
	run := &session{opts: o, bootLimit: limit, start: s, host: host, stdout: stdout, stderr: stderr}
	return run.run(cmd, m)
}

// newStart says what the guest shall run, in the caller's directory and with
// the caller's environment.
func newStart(o *options) (*start, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	args := o.args
	if len(args) == 0 {
		args = []string{shell()}
	}
	path, err := commandPath(args[0], o.arch)
	if err != nil {
		return nil, err
	}
	s := &start{Args: append([]string{path}, args[1:]...), Dir: dir, TTY: o.interactive}
	s.Keep = keptPaths(o, dir, os.Getenv)
	s.Show = shownPaths(o, path, dir, s.Keep)
	for _, name := range offered() {
		s.Show = append(s.Show, unpackedDir(o.cache, name))
	}
	return s, nil
}

// commandPath is the absolute path of the command. The name of one that a guest of
// another architecture has itself is looked up there.
func commandPath(name, arch string) (string, error) {
	if arch != hostArch && !strings.Contains(name, "/") {
		return name, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// shell is what -i starts without a command.
func shell() string {
	for _, name := range []string{"bash", "busybox"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return "/bin/sh"
}

// finishEnv sets what commands in a guest rely on.
func finishEnv(o *options, s *start) {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/bin:/usr/bin"
	}
	for _, name := range offered() {
		if o.arch == hostArch {
			path += ":" + filepath.Join(unpackedDir(o.cache, name), newTools)
		}
	}
	home := os.Getenv("HOME")
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		home = "/root"
	}
	s.Env = environ(os.Environ(), map[string]string{
		"TRUSTED_STORE_BED":     o.bed,
		"TRUSTED_STORE_MODULES": s.Tree,
		"DM_DISABLE_UDEV":       "1",
		"TMPDIR":                "/tmp",
		"PATH":                  path + ":/usr/local/sbin:/usr/sbin:/sbin",
		"HOME":                  home,
	})
}

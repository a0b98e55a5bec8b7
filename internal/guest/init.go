package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel hands the words of its command line that it does not know to init
// as environment variables.
const (
	initMark   = "GUEST_INIT"    // the bed's name; says that this program is init
	envModules = "GUEST_MODULES" // file with the modules to insert, one path a line
	envChannel = "GUEST_CHANNEL" // device of the channel to the host, or a virtio port's name
	envLower   = "GUEST_LOWER"   // directories that show the host's file tree, separated by colons
	envTools   = "GUEST_TOOLS"   // serial number of a disk with further files, or empty
)

// kernelArgs are the same in both beds: errors reach the console (so that a
// panic can be shown), the log is large enough for a test that reads it, and a
// panic ends the guest at once.
var kernelArgs = []string{"loglevel=4", "log_buf_len=8M", "panic=-1", "printk.devkmsg=on", "printk.time=1", "cryptomgr.notests"}

// runInit is the guest's first process. It does not return: its end is the
// guest's end.
func runInit() {
	err := serveCommand()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest: init:", err)
	}
	powerOff()
}

// serveCommand sets the guest up and runs the one command that the host asks for.
func serveCommand() error {
	if err := mountEarly(); err != nil {
		return err
	}
	if err := insertModules(os.Getenv(envModules)); err != nil {
		return err
	}
	if err := mountTools(os.Getenv(envTools)); err != nil {
		return err
	}
	host, err := openChannel(os.Getenv(envChannel))
	if err != nil {
		return err
	}
	l := newLink(host)
	if err := l.send(kindReady, nil); err != nil {
		return fmt.Errorf("greet the host: %w", err)
	}
	s, err := receiveStart(l)
	if err != nil {
		return fmt.Errorf("learn what to run: %w", err)
	}
	return l.sendValue(kindResult, perform(l, s))
}

// receiveStart collects the pieces of the start value.
func receiveStart(l *link) (*start, error) {
	var text []byte
	for {
		k, piece, err := l.receive()
		if err != nil {
			return nil, err
		}
		if k != kindStart {
			return nil, fmt.Errorf("got a frame of kind %q before the command", byte(k))
		}
		if len(piece) == 0 {
			s := &start{}
			return s, decode(text, s)
		}
		text = append(text, piece...)
		if err := l.send(kindTaken, nil); err != nil {
			return nil, err
		}
	}
}

// perform runs the command and everything around it.
func perform(l *link, s *start) result {
	changes, err := enterTree(os.Getenv(envLower), s.Show)
	if err != nil {
		return result{Failure: err.Error()}
	}
	if err := configure(); err != nil {
		return result{Failure: err.Error()}
	}
	disks, err := findDisks(s.Disks)
	if err != nil {
		return result{Failure: err.Error()}
	}
	s.Env = environ(s.Env, map[string]string{"TRUSTED_STORE_DISKS": strings.Join(disks, ":")})
	before, err := mounts()
	if err != nil {
		return result{Failure: err.Error()}
	}
	status, err := runCommand(l, s)
	if err != nil {
		return result{Failure: err.Error()}
	}
	r := result{Status: status, Leaks: awaitNoLeaks(before)}
	if err := sendChanges(l, changes, s.Keep); err != nil {
		r.Failure = err.Error()
	}
	return r
}

// insertModules loads the files of the list in its order.
func insertModules(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("list of modules: %w", err)
	}
	for path := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if err := insertModule(path); err != nil {
			return err
		}
	}
	return nil
}

func insertModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("insert kernel module %s: %w", path, err)
	}
	return nil
}

// powerOff writes out what may be on a disk that the host keeps, and ends the
// guest. A broken mapping can block the writing for ever, so it is bounded.
func powerOff() {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	// Not POWER_OFF: a restart is quicker, and both beds end instead.
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintln(os.Stderr, "guest: init: reboot:", err)
	os.Exit(1)
}

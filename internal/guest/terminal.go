package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal makes this program's terminal transparent for an interactive run:
// every key goes to the guest's terminal, which does the editing. It returns
// what brings the old state back.
func (s *session) terminal() (restore func(), err error) {
	if !s.opts.interactive {
		return func() {}, nil
	}
	fd := int(os.Stdin.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if errors.Is(err, unix.ENOTTY) {
		return nil, errors.New("-i needs a terminal as standard input")
	}
	if err != nil {
		return nil, fmt.Errorf("read the terminal's state: %w", err)
	}
	raw := *old
	makeRaw(&raw)
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("make the terminal raw: %w", err)
	}
	s.start.Window = terminalSize()
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }, nil
}

// terminalSize is the size of this program's terminal, zero when unknown.
func terminalSize() windowSize {
	w, err := unix.IoctlGetWinsize(int(os.Stdin.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return windowSize{}
	}
	return windowSize{Rows: w.Row, Cols: w.Col}
}

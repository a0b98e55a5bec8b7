package storagetest

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Log reads the kernel's log from one moment on.
type Log struct {
	file  int // a plain descriptor: an os.File would wait for the next message
	lines []string
}

// KernelLog returns a reader of what the kernel logs from now on, until the test
// ends. Messages of the whole machine are in it.
func KernelLog(t testing.TB) *Log {
	t.Helper()
	file, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open the kernel's log: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(file) }) // only read
	if _, err := unix.Seek(file, 0, unix.SEEK_END); err != nil {
		t.Fatalf("seek to the end of the kernel's log: %v", err)
	}
	return &Log{file: file}
}

// Lines returns all messages so far, without level and time, oldest first.
func (l *Log) Lines(t testing.TB) []string {
	t.Helper()
	record := make([]byte, 8192) // the kernel's longest
	for {
		n, err := unix.Read(l.file, record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return l.lines
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EPIPE):
			t.Log("storagetest: the kernel's log overflowed, the oldest messages are lost")
		case err != nil:
			t.Fatalf("read the kernel's log: %v", err)
		default:
			l.lines = append(l.lines, message(string(record[:n])))
		}
	}
}

// Matching returns the messages so far that hold text.
func (l *Log) Matching(t testing.TB, text string) []string {
	t.Helper()
	var found []string
	for _, line := range l.Lines(t) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// message takes the text out of "level,number,time,flags;text\n key=value…".
func message(record string) string {
	_, text, _ := strings.Cut(record, ";")
	line, _, _ := strings.Cut(text, "\n")
	return line
}

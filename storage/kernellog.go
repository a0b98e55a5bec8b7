package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// IntegrityErrors is what is known of blocks that could not be authenticated.
// The kernel counts them nowhere: all there is are lines in its log, which are
// rate-limited and which others overwrite in time. So a number is a lower bound,
// and where the log does not reach back to the store's beginning, or had too many
// errors of other stores to show one of this, even that is unknown.
type IntegrityErrors struct {
	Known   bool `json:"known"`
	AtLeast int  `json:"at_least"`
}

// String returns "none seen", "at least 3" or "unknown".
func (e IntegrityErrors) String() string {
	switch {
	case !e.Known:
		return "unknown (the kernel's log does not reach back to its beginning, left lines out, or cannot be read)"
	case e.AtLeast == 0:
		return "none seen"
	}
	return fmt.Sprintf("at least %d, see the kernel's log", e.AtLeast)
}

const kernelLog = "/dev/kmsg"

// logBeginning writes a line to the kernel's log from which on its messages on
// the device numbers of this store are about it: numbers are used again.
func logBeginning(layers []string) error {
	f, err := os.OpenFile(kernelLog, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "<6>%s\n", beginningOf(layers))
	return errors.Join(err, f.Close())
}

const beginning = "trusted-store: new store on "

// beginningOf ends in a full stop, so that dm-1 is not taken for dm-10.
func beginningOf(layers []string) string {
	return beginning + strings.Join(layers, " over ") + "."
}

// kernelName returns "dm-1", as the kernel's messages name a mapping.
func kernelName(device dm.Device) string {
	if real, err := os.Readlink("/sys/dev/block/" + device.String()); err == nil {
		return filepath.Base(real)
	}
	return fmt.Sprintf("dm-%d", device.Minor)
}

// integrityErrors counts what dm-crypt logged of each of these stores, given by
// their layers. The log may be long: it is read once.
func integrityErrors(stores ...[]string) []IntegrityErrors {
	counts := make([]IntegrityErrors, len(stores))
	text, err := readLog()
	if err != nil {
		return counts
	}
	logs := make([]errorLog, len(stores))
	for i, layers := range stores {
		logs[i].layers = layers
	}
	for line := range bytes.Lines(text) {
		for i := range logs {
			logs[i].add(line)
		}
	}
	for i := range logs {
		counts[i] = logs[i].errors()
	}
	return counts
}

// errorLog collects what the kernel logged of blocks that failed.
type errorLog struct {
	layers []string
	known  bool            // the store's beginning is in the log
	began  time.Duration   // since boot
	own    int             // since then, of this store
	all    []time.Duration // of any store, the oldest first
}

// add looks at one line. The kernel names the device below the one that was read.
func (l *errorLog) add(line []byte) {
	if bytes.Contains(line, []byte(beginning)) && bytes.Contains(line, []byte(beginningOf(l.layers))) {
		l.known, l.began, l.own = true, lineTime(line), 0
	}
	failed, is := parseFailedRead(line)
	if !is {
		return
	}
	l.all = append(l.all, lineTime(line))
	if slices.Contains(l.layers, failed.layer) {
		l.own++
	}
}

// failedRead is a read of a block that could not be authenticated. The kernel names a
// layer of the store, and a sector of the mapping.
type failedRead struct {
	layer  string // as "dm-1"
	sector uint64
}

// parseFailedRead understands "… dm-1: INTEGRITY AEAD ERROR, sector 8".
func parseFailedRead(line []byte) (r failedRead, is bool) {
	before, after, is := bytes.Cut(line, []byte(": INTEGRITY AEAD ERROR"))
	if !is {
		return r, false
	}
	r.layer = string(before[bytes.LastIndexByte(before, ' ')+1:])
	_, err := fmt.Sscanf(string(after), ", sector %d", &r.sector)
	return r, err == nil
}

// lineTime reads the time since boot out of "<4>[   12.345678] text". Where the
// kernel was told to log no times all lines count as logged at once.
func lineTime(line []byte) time.Duration {
	_, rest, _ := bytes.Cut(line, []byte(">["))
	seconds, _, found := bytes.Cut(rest, []byte("]"))
	if !found {
		return 0
	}
	since, err := time.ParseDuration(string(bytes.TrimSpace(seconds)) + "s")
	if err != nil {
		return 0
	}
	return since
}

func (l *errorLog) errors() IntegrityErrors {
	return IntegrityErrors{Known: l.known && (l.own > 0 || !l.mayLack()), AtLeast: l.own}
}

// The kernel logs so many lines of one kind in such a time and leaves out the
// rest, whichever devices they are of (DEFAULT_RATELIMIT_BURST and _INTERVAL,
// with a second to spare for rounding).
const (
	logBurst    = 10
	logInterval = 6 * time.Second
)

// mayLack reports whether so many errors were logged since the store's
// beginning, or just before, that one of this store may have been left out.
func (l *errorLog) mayLack() bool {
	for i := logBurst - 1; i < len(l.all); i++ {
		first, last := l.all[i-logBurst+1], l.all[i]
		if last-first <= logInterval && last+logInterval >= l.began {
			return true
		}
	}
	return false
}

// readLog returns the kernel's log since it was last cleared, a line for each
// message. It takes one system call, where /dev/kmsg takes one for each message.
func readLog() ([]byte, error) {
	size, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil)
	if err != nil {
		return nil, os.NewSyscallError("syslog", err)
	}
	for n := firstLog; ; n *= 2 {
		text := make([]byte, n)
		got, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, text)
		// What is left out is the oldest, and whole lines. Each comes with its time, which is not in size.
		if err != nil || got < n-longestLine || n > 2*size {
			return text[:max(got, 0)], os.NewSyscallError("syslog", err)
		}
	}
}

const (
	firstLog    = 64 << 10
	longestLine = 2048
)

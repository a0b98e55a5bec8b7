package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	f, err := os.OpenFile(kernelLog, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return counts
	}
	defer f.Close()
	logs := make([]errorLog, len(stores))
	for i, layers := range stores {
		logs[i].layers = layers
	}
	readRecords(int(f.Fd()), func(record []byte) {
		for i := range logs {
			logs[i].add(record)
		}
	})
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

// add looks at one record. The kernel names the device below the one that was
// read.
func (l *errorLog) add(record []byte) {
	if bytes.Contains(record, []byte(beginning)) && bytes.Contains(record, []byte(beginningOf(l.layers))) {
		l.known, l.began, l.own = true, recordTime(record), 0
	}
	if !bytes.Contains(record, []byte(": INTEGRITY AEAD ERROR")) {
		return
	}
	l.all = append(l.all, recordTime(record))
	for _, layer := range l.layers {
		if bytes.Contains(record, []byte(" "+layer+": INTEGRITY AEAD ERROR")) {
			l.own++
		}
	}
}

// recordTime reads the time since boot out of "level,number,microseconds,…;text".
func recordTime(record []byte) time.Duration {
	fields := bytes.SplitN(record, []byte(","), 4)
	if len(fields) < 4 {
		return 0
	}
	us, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(us) * time.Microsecond
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

// readRecords reads the log, one record for each read. EPIPE says that records
// were overwritten in between: the next read goes on behind them.
func readRecords(fd int, each func(record []byte)) {
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, record)
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0: // EAGAIN: the end
			return
		}
		each(record[:n])
	}
}

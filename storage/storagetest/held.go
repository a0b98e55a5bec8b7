package storagetest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// UntilSet is a Fault.Delay of [Slow] that lasts until [Faulty.Set] is called again:
// the test chooses the moment, whatever time the machine takes.
const UntilSet = 24 * time.Hour

const heldWait = time.Minute

// Hold answers what is held back, and holds back every request that follows, until
// [Faulty.Set].
func (f *Faulty) Hold(t testing.TB) {
	t.Helper()
	f.Set(t, Fault{Kind: Slow, Delay: UntilSet})
}

// AwaitHeld waits until a [Slow] fault holds a request back.
func (f *Faulty) AwaitHeld(t testing.TB) {
	t.Helper()
	f.HeldBefore(t, func() bool { return false })
}

// HeldBefore waits until a [Slow] fault holds a request back, or over says that none
// will come, and returns which it was. With [Faulty.Hold] it goes through all that
// something does on a disk.
func (f *Faulty) HeldBefore(t testing.TB, over func() bool) bool {
	t.Helper()
	for end := time.Now().Add(heldWait); f.held(t) == 0; time.Sleep(time.Millisecond) {
		if over() {
			return false
		}
		if time.Now().After(end) {
			t.Fatalf("no request came to %s within %v", f.Path(), heldWait)
		}
	}
	return true
}

// held counts the requests that are held back. A delay reports numbers of them: of
// reads, writes and flushes.
func (f *Faulty) held(t testing.TB) (requests int) {
	t.Helper()
	lines, err := f.control.Status(f.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if line.Kind != "delay" {
			continue
		}
		for word := range strings.FieldsSeq(line.Text) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatalf("status of %s: %q: %v", f.Path(), line.Text, err)
			}
			requests += n
		}
	}
	return requests
}

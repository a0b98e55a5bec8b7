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

// Hold holds every request back from now on, until [Faulty.Set].
func (f *Faulty) Hold(t testing.TB) {
	t.Helper()
	f.Set(t, Fault{Kind: Slow, Delay: UntilSet})
}

// AwaitHeld waits until a [Slow] fault holds a request back.
func (f *Faulty) AwaitHeld(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(heldWait); f.held(t) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no request came to %s within %v", f.Path(), heldWait)
		}
	}
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

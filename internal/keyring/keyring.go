// Package keyring lends a key to the kernel for as long as one call lasts, or an
// owner holds it.
//
// The key is a logon key, which no program can read back, in the thread keyring
// of one operating-system thread, which no other thread can search. Two calls
// with equal descriptions therefore never see each other's key, as they could in
// a keyring that threads share or inherit (session, process), where the second
// key replaces the first.
//
// Sources: keyrings(7), thread-keyring(7), add_key(2); security/keys/process_keys.c.
package keyring

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrNotSupported: the kernel has no keys at all (CONFIG_KEYS).
var ErrNotSupported = errors.New("kernel has no key retention service (CONFIG_KEYS)")

// ErrNotFinished: use ended its goroutine instead of returning.
var ErrNotFinished = errors.New("the key's user did not return")

// WithLogonKey makes payload available as the logon key description ("prefix:
// rest") on one thread and runs use on that thread, once. The key is revoked and
// unlinked before WithLogonKey returns, whatever use did; a panic in use comes
// through. payload is read only, and stays the caller's to wipe. No privilege is
// needed for the key itself.
func WithLogonKey(description string, payload []byte, use func() error) error {
	call := call{description: description, payload: payload, use: use, err: ErrNotFinished}
	done := make(chan struct{})
	go call.onThread(done)
	<-done
	if call.panicked != nil {
		panic(call.panicked)
	}
	return call.err
}

type call struct {
	description string
	payload     []byte
	id          int  // of the key
	handedOn    bool // to a process, which needs it still
	use         func() error
	err         error
	panicked    any
}

// onThread runs the call on a thread of its own. The goroutine ends locked to
// it, so the thread ends too and its keyring with it. The first thread of a
// process cannot end: it passes the call on.
func (c *call) onThread(done chan<- struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		next := make(chan struct{})
		go c.onThread(next)
		<-next
		runtime.UnlockOSThread()
		close(done)
		return
	}
	defer close(done)
	c.run()
}

func (c *call) run() {
	defer func() { c.panicked = recover() }()
	var err error
	if c.id, err = unix.AddKey("logon", c.description, c.payload, unix.KEY_SPEC_THREAD_KEYRING); err != nil {
		c.err = addError(c.description, err)
		return
	}
	defer func() { c.err = errors.Join(c.err, c.forget()) }()
	c.err = c.use()
}

func addError(description string, err error) error {
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENODEV) {
		err = fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return fmt.Errorf("keyring: add logon key %s: %w", description, err)
}

// forget wipes the key in the kernel (revoke does so), unless a process has it,
// and takes it off the keyring.
func (c *call) forget() error {
	var revoke error
	if !c.handedOn {
		_, revoke = unix.KeyctlInt(unix.KEYCTL_REVOKE, c.id, 0, 0, 0)
	}
	_, unlink := unix.KeyctlInt(unix.KEYCTL_UNLINK, c.id, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	if err := errors.Join(revoke, unlink); err != nil {
		return fmt.Errorf("keyring: forget logon key %s: %w", c.description, err)
	}
	return nil
}

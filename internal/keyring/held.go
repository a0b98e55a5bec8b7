package keyring

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Held is a logon key that stays available for as long as its owner needs it: to
// what [Held.Do] runs, and to a process with [Held.HandOn]. It costs a
// parked thread. A nil Held holds no key.
type Held struct {
	call    call
	calls   chan func()
	release sync.Once
	stop    chan struct{}
	ended   chan struct{} // closed when the key is gone
}

// Hold makes payload available as [WithLogonKey] does, until [Held.Release].
// payload is not needed once Hold has returned.
func Hold(description string, payload []byte) (*Held, error) {
	h := &Held{calls: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan struct{})
	h.call = call{description: description, payload: payload, use: func() error {
		h.call.payload = nil
		close(ready)
		for {
			select {
			case do := <-h.calls:
				do()
			case <-h.stop:
				return nil
			}
		}
	}}
	go h.call.onThread(h.ended)
	select {
	case <-ready:
		return h, nil
	case <-h.ended:
		return nil, h.call.err
	}
}

// Do runs use on the thread that finds the key; after Release, elsewhere.
func (h *Held) Do(use func() error) error {
	if found, err := h.do(use); found {
		return err
	}
	return use()
}

// do runs use on the thread that finds the key, unless there is none any more.
func (h *Held) do(use func() error) (found bool, err error) {
	if h == nil {
		return false, nil
	}
	done := make(chan struct{})
	select {
	case h.calls <- func() {
		defer close(done)
		err = use()
	}:
		<-done
		return true, err
	case <-h.ended:
		return false, nil
	}
}

// HandOn runs start, which is to start a process, with a session keyring that has
// the key and no other, and that the process inherits. The key is then that
// process's: Release does not revoke it, and it ends with the process. After
// Release there is nothing to hand on.
func (h *Held) HandOn(start func() error) error {
	found, err := h.do(func() error {
		// Only this thread joins; what it starts inherits.
		if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("keyring: make a session keyring: %w", err)
		}
		if _, err := unix.KeyctlInt(unix.KEYCTL_LINK, h.call.id, unix.KEY_SPEC_SESSION_KEYRING, 0, 0); err != nil {
			return fmt.Errorf("keyring: hand on logon key %s: %w", h.call.description, err)
		}
		if err := start(); err != nil {
			return err
		}
		h.call.handedOn = true
		return nil
	})
	if !found {
		return start()
	}
	return err
}

// Release takes the key away, once what Do runs has returned.
func (h *Held) Release() error {
	if h == nil {
		return nil
	}
	h.release.Do(func() { close(h.stop) })
	<-h.ended
	if h.call.panicked != nil {
		return errors.Join(h.call.err, fmt.Errorf("keyring: %v", h.call.panicked))
	}
	return h.call.err
}

package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestHeldKey(t *testing.T) {
	storagetest.Kernel(t)
	payload := []byte("sixteen bytes ok")
	h, err := keyring.Hold(description, payload)
	require.NoError(t, err)
	clear(payload)
	require.Zero(t, find(), "other threads found the key")
	for range 3 {
		require.NoError(t, h.Do(func() error {
			if find() == 0 {
				return errors.New("no key")
			}
			return nil
		}))
	}
	failure := errors.New("failed")
	require.ErrorIs(t, h.Do(func() error { return failure }), failure)
	require.Len(t, live(t), 1)
	require.NoError(t, h.Release())
	require.Empty(t, live(t))

	var none *keyring.Held
	require.ErrorIs(t, none.Do(func() error { return failure }), failure)
	require.NoError(t, none.Release())
}

// A key that somebody else has released meanwhile cannot be handed on; the process
// starts without.
func TestHandOnAfterRelease(t *testing.T) {
	storagetest.Kernel(t)
	h, err := keyring.Hold(description, []byte("sixteen bytes ok"))
	require.NoError(t, err)
	require.NoError(t, h.Release())
	before, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	require.NoError(t, err)
	started := false
	require.NoError(t, h.HandOn(func() error {
		started = true
		now, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		if err == nil && now != before {
			err = errors.New("a session keyring of its own")
		}
		return err
	}))
	require.True(t, started)
}

func TestHoldBadDescription(t *testing.T) {
	storagetest.Kernel(t)
	_, err := keyring.Hold("no-prefix", []byte("secret bytes"))
	require.ErrorIs(t, err, unix.EINVAL)
}

// TestHeldChild is the process that TestHeldKeyOfAProcess starts.
func TestHeldChild(t *testing.T) {
	if os.Getenv("KEYRING_CHILD") == "" {
		t.Skip("runs as a process of another test")
	}
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "logon", description, 0)
	fmt.Println("found", id != 0, err)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// A process that is started with the key has it until it ends, and this one no
// longer.
func TestHeldKeyOfAProcess(t *testing.T) {
	storagetest.Kernel(t)
	h, err := keyring.Hold(description, []byte("sixteen bytes ok"))
	require.NoError(t, err)
	child := exec.Command(os.Args[0], "-test.run=^TestHeldChild$")
	child.Env = append(os.Environ(), "KEYRING_CHILD=1")
	var out bytes.Buffer
	child.Stdout = &out
	in, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, h.HandOn(child.Start))
	require.NoError(t, h.Release())
	require.Len(t, live(t), 1, "the process has the key")
	_, err = unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "logon", description, 0)
	require.Error(t, err, "so has this one")
	require.NoError(t, in.Close())
	require.NoError(t, child.Wait())
	require.True(t, strings.HasPrefix(out.String(), "found true <nil>"), out.String())
	require.Eventually(t, func() bool { return len(live(t)) == 0 }, time.Minute, 10*time.Millisecond)

	require.Error(t, startMissing(t))
	require.Empty(t, live(t))
}

// startMissing fails to start a program that is not there.
func startMissing(t *testing.T) error {
	h, err := keyring.Hold(description, []byte("sixteen bytes ok"))
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Release()) }()
	return h.HandOn(exec.Command("/does/not/exist").Start)
}

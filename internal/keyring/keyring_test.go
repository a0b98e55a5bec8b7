package keyring_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

const description = "keyringtest:same"

// find returns the serial number of the key that this thread finds, 0 for none.
func find() int {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_THREAD_KEYRING, "logon", description, 0)
	if err != nil {
		return 0
	}
	return id
}

// live returns the lines of /proc/keys about logon keys of this test that are
// not revoked. The kernel collects revoked ones a little later.
func live(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/keys")
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.Contains(line, "keyringtest:") && !strings.Contains(f[1], "R") {
			found = append(found, line)
		}
	}
	return found
}

func TestKeyLivesForTheCall(t *testing.T) {
	storagetest.Kernel(t)
	payload := []byte("sixteen bytes ok")
	var id int
	err := keyring.WithLogonKey(description, payload, func() error {
		id = find()
		require.NotZero(t, id)
		require.Len(t, live(t), 1)
		_, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, make([]byte, 64), 0)
		require.Error(t, err, "a logon key was readable")
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, live(t))
	require.Equal(t, "sixteen bytes ok", string(payload), "the caller's bytes were changed")
	require.Zero(t, find())
}

func TestKeyIsGoneWhateverHappens(t *testing.T) {
	storagetest.Kernel(t)
	failure := errors.New("failed")
	require.ErrorIs(t, keyring.WithLogonKey(description, []byte("x"), func() error { return failure }), failure)
	require.Empty(t, live(t))

	require.PanicsWithValue(t, "boom", func() {
		_ = keyring.WithLogonKey(description, []byte("x"), func() error { panic("boom") })
	})
	require.Empty(t, live(t))

	t.Run("goexit", func(t *testing.T) {
		err := keyring.WithLogonKey(description, []byte("x"), func() error {
			exitGoroutine()
			return nil
		})
		require.ErrorIs(t, err, keyring.ErrNotFinished)
	})
	require.Empty(t, live(t))
}

// Each of many callers with one description finds its own key and no other's.
func TestEqualDescriptionsDoNotMixOnManyCPUs(t *testing.T) {
	storagetest.Kernel(t)
	const callers, rounds = 16, 20
	var all sync.WaitGroup
	var mu sync.Mutex
	users := map[int]int{} // serial number of a key that is in use, to its caller
	errs := make([]error, callers)
	for caller := range callers {
		all.Go(func() {
			for range rounds {
				errs[caller] = errors.Join(errs[caller], keyring.WithLogonKey(description, []byte{byte(caller)}, func() error {
					id := find()
					mu.Lock()
					other, taken := users[id]
					users[id] = caller
					mu.Unlock()
					time.Sleep(time.Millisecond)
					again := find()
					mu.Lock()
					delete(users, id)
					mu.Unlock()
					if id == 0 || taken || again != id {
						return fmt.Errorf("caller %d found key %d then %d, taken %v by %d", caller, id, again, taken, other)
					}
					return nil
				}))
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Empty(t, live(t))
}

// Threads that held a key are not kept: nor are their keyrings.
func TestThreadsEnd(t *testing.T) {
	storagetest.Kernel(t)
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		require.NoError(t, err)
		return len(entries)
	}
	before := threads()
	for range 50 {
		require.NoError(t, keyring.WithLogonKey(description, []byte("x"), func() error { return nil }))
	}
	require.Less(t, threads(), before+25)
}

func TestBadDescription(t *testing.T) {
	storagetest.Kernel(t)
	called := false
	err := keyring.WithLogonKey("no-prefix", []byte("secret bytes"), func() error { called = true; return nil })
	require.ErrorIs(t, err, unix.EINVAL)
	require.False(t, called)
	require.NotContains(t, err.Error(), "secret")
}

// The first thread of a process passes the call on, as it cannot end.
func TestFirstThreadDoesNotKeepAKeyring(t *testing.T) {
	storagetest.Kernel(t)
	for range 200 {
		require.NoError(t, keyring.WithLogonKey(description, []byte("x"), func() error {
			if unix.Gettid() == unix.Getpid() {
				return errors.New("ran on the first thread")
			}
			return nil
		}))
	}
}

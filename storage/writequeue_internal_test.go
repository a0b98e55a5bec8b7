package storage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/internal/keyring"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// Whoever comes second to release a key waits until it is gone, too: two growers
// may reach the full size together.
func TestKeyIsGoneWhenReleased(t *testing.T) {
	storagetest.Kernel(t)
	held, err := keyring.Hold("test:released", []byte("sixteen bytes ok"))
	require.NoError(t, err)
	keys := &lentKeys{byDisk: map[uint64]*keyring.Held{1: held}}
	using, busy, used := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		used <- held.Do(func() error {
			close(using)
			<-busy
			return nil
		})
	}()
	<-using
	released := make(chan error, 2)
	for range 2 {
		go func() { released <- keys.release(1) }()
	}
	select {
	case err := <-released:
		t.Fatal("released while it was in use", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(busy)
	require.NoError(t, <-used)
	require.NoError(t, <-released)
	require.NoError(t, <-released)
	require.Nil(t, keys.of(1))
}

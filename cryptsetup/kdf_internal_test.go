package cryptsetup

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits for the turn of another derivation ends with the context.
func TestArgon2TurnEndsWithContext(t *testing.T) {
	argon2Turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Argon2id{Time: 1, MemoryKiB: 32, Threads: 1}.derive(ctx, []byte("key"), make([]byte, 16))
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	<-argon2Turn
	_, err := Argon2id{Time: 1, MemoryKiB: 32, Threads: 1}.derive(t.Context(), []byte("key"), make([]byte, 16))
	require.NoError(t, err)
	require.Empty(t, argon2Turn)
}

package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/securemount"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// Against the real service: the events are those of the store's life, and nothing is
// left of it. The same key again formats nothing.
func TestTypedAgent(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	disk, dir := storagetest.Disk(t, 64<<20), filepath.Join(t.TempDir(), "scratch")
	socket := filepath.Join(t.TempDir(), "guest.sock")
	server := securemount.New(securemount.Options{})
	defer server.Close()
	l, err := securemount.Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- securemount.Serve(ctx, l, nil, server.Register) }()
	defer func() { stop(); require.NoError(t, <-ended) }()

	client, err := stores.Dial(t.Context(), socket)
	require.NoError(t, err)
	defer client.Close()
	var out strings.Builder
	require.NoError(t, work(t.Context(), client, disk, dir, &out))
	require.True(t, strings.HasPrefix(out.String(), "KIND_STATE "), out.String())
	require.True(t, strings.HasSuffix(strings.TrimSpace(out.String()), "KIND_CLOSED"), out.String())
	live, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, live)
	require.Error(t, work(t.Context(), client, disk, dir, &out), "a new volume needs a new key")
}

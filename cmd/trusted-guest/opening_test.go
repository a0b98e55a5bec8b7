package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// kills is how often a test kills a service in the middle of a request.
func kills() int {
	if os.Getenv("TRUSTED_STORE_SOAK") == "1" {
		return 60
	}
	return 6
}

// Whatever becomes of the service, what is on a persistent volume stays, and opening
// it is what the next service does, not formatting it.
func TestKilledWhileOpening(t *testing.T) {
	kernel(t)
	slow := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	answers := storagetest.Fault{Kind: storagetest.Slow, Delay: 5 * time.Millisecond}
	slow.Set(t, answers)
	socket, dir := newSocket(t), filepath.Join(t.TempDir(), "store")
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("a key of thirty-two bytes or more\xff"), 0o600))
	req := request(t, slow.Path(), dir)
	req.Options["key"] = "file://" + key
	p := launch(t, socket)
	require.NoError(t, p.mount(t, req))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("kept"), 0o600))
	p.unmount(t, dir)

	req.Options["sourceType"] = "encrypted"
	began := time.Now()
	require.NoError(t, p.mount(t, req))
	took := time.Since(began)
	left := map[storage.State]int{}
	for i := range kills() {
		p.unmount(t, dir)
		client := cdh.NewSecureMountServiceClient(p.client(t))
		if i == 0 { // for certain in the middle: the kernel reads what is behind the integrity superblock
			slow.Set(t, storagetest.Fault{Offset: 16<<20 + 4096, Kind: storagetest.Slow, Delay: storagetest.UntilSet})
		}
		go func() { _, _ = client.SecureMount(context.Background(), req) }()
		if i == 0 {
			slow.AwaitHeld(t)
		} else {
			time.Sleep(took * time.Duration(i+1) / time.Duration(kills()+1))
		}
		require.NoError(t, p.Process.Kill())
		slow.Set(t, answers)
		require.Equal(t, -1, p.end())
		list, err := storage.List(t.Context())
		require.NoError(t, err)
		for _, live := range list {
			left[live.State]++
		}
		p = launch(t, socket)
		require.NoError(t, p.mount(t, req), "%v", list)
		text, err := os.ReadFile(filepath.Join(dir, "f"))
		require.NoError(t, err)
		require.Equal(t, "kept", string(text))
	}
	t.Log("killed requests that take", took, "left", left)
	require.NotEmpty(t, left, "none was killed in the middle")
	p.unmount(t, dir)
}

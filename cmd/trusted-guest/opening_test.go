package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

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
	host := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	socket, dir := newSocket(t), filepath.Join(t.TempDir(), "store")
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("a key of thirty-two bytes or more"), 0o600))
	req := request(t, host.Path(), dir)
	req.Options["key"] = "file://" + key
	p := launch(t, socket)
	require.NoError(t, p.mount(t, req))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("kept"), 0o600))
	p.unmount(t, dir)

	req.Options["sourceType"] = "encrypted"
	answers := p.mountUpTo(t, host, req, math.MaxInt)
	host.Set(t)
	left := map[storage.State]int{}
	for i := range kills() {
		p.unmount(t, dir)
		p.mountUpTo(t, host, req, answers*(i+1)/(kills()+1))
		require.NoError(t, p.Process.Kill())
		host.Set(t)
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
	t.Log("killed requests that take", answers, "answers of the disk left", left)
	require.NotEmpty(t, left, "none was killed in the middle")
	p.unmount(t, dir)
}

// mountUpTo makes a request and returns when the disk, which answers no more, has
// answered so many times, or how many times it did before the reply.
func (p *process) mountUpTo(t *testing.T, host *storagetest.Faulty, req *cdh.SecureMountRequest, answers int) (n int) {
	t.Helper()
	host.Hold(t)
	client := cdh.NewSecureMountServiceClient(p.client(t))
	replied := make(chan struct{})
	go func() {
		defer close(replied)
		_, _ = client.SecureMount(context.Background(), req)
	}()
	over := func() bool {
		select {
		case <-replied:
			return true
		default:
			return false
		}
	}
	for host.HeldBefore(t, over) && n < answers {
		host.Hold(t)
		n++
	}
	return n
}

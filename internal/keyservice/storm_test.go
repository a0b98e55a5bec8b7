package keyservice

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// atOnce is how many requests a storm has.
func atOnce() int {
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		return 1000
	}
	return 150
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// storm is a server under many requests.
type storm struct {
	socket string
	vault  vault
}

// startStorm starts a relay before a server that answers at once, but never what is
// asked for as "slow".
func startStorm(t *testing.T) *storm {
	back := filepath.Join(t.TempDir(), "back.sock")
	s := &storm{vault: vault{make(chan struct{}, 10*atOnce()), new(atomic.Int64)}}
	startServer(t, listen(t, back), s.vault.register)
	s.socket = startRelay(t, back)
	// What libraries start once is there before anything is counted.
	client := dialClient(t, s.socket)
	_, err := cdh.NewGetResourceServiceClient(client).GetResource(t.Context(), &cdh.GetResourceRequest{ResourcePath: "a"})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	return s
}

// request makes one of any kind, over a connection that others use, too. The caller
// of a slow one gives it up.
func (s *storm) request(client *ttrpc.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch rand.N(4) {
	case 0:
		_, err := cdh.NewSecureMountServiceClient(client).SecureMount(ctx, &cdh.SecureMountRequest{})
		return err
	case 1:
		ctx, cancel := context.WithTimeout(ctx, rand.N(20*time.Millisecond))
		defer cancel()
		_, err := cdh.NewGetResourceServiceClient(client).GetResource(ctx, &cdh.GetResourceRequest{ResourcePath: "slow"})
		if code := status.Code(err); code != codes.DeadlineExceeded && status.Code(status.FromContextError(err).Err()) != codes.DeadlineExceeded {
			return fmt.Errorf("a slow request: %w", err)
		}
		return nil
	}
	path := fmt.Sprint(rand.Uint64())
	got, err := cdh.NewGetResourceServiceClient(client).GetResource(ctx, &cdh.GetResourceRequest{ResourcePath: path})
	if err == nil && string(got.Resource) != "secret of "+path {
		return fmt.Errorf("asked for %s, got %s", path, got.Resource)
	}
	return err
}

// Many requests at once, over one connection and over many, each get their own
// answer, while others are never answered and connections are killed; then nothing is
// left of them.
func TestRelayStorm(t *testing.T) {
	s := startStorm(t)
	var files, routines int
	for round := range 2 {
		s.blow(t)
		if round == 0 {
			s.settled(t, 0, 0)
			files, routines = openFiles(t), runtime.NumGoroutine()
		}
	}
	s.settled(t, files, routines)
}

// settled waits until no more is there than was, or, where that is not known, until
// what is there no longer changes.
func (s *storm) settled(t *testing.T, files, routines int) {
	t.Helper()
	if files == 0 {
		require.Eventually(t, func() bool {
			files, routines = openFiles(t), runtime.NumGoroutine()
			return files < atOnce()/4 && routines < atOnce()/4
		}, time.Minute, time.Millisecond)
		return
	}
	require.Eventually(t, func() bool { return openFiles(t) <= files && runtime.NumGoroutine() <= routines }, time.Minute, time.Millisecond,
		"%d files, %d goroutines were there", files, routines)
}

func (s *storm) blow(t *testing.T) {
	t.Helper()
	shared, err := net.Dial("unix", s.socket)
	require.NoError(t, err)
	one := ttrpc.NewClient(shared)
	var group sync.WaitGroup
	for i := range atOnce() {
		group.Go(func() {
			if err := s.request(one); err != nil {
				t.Error("over one connection:", err)
			}
		})
		group.Go(func() {
			conn, err := net.Dial("unix", s.socket)
			if err != nil {
				t.Error(err)
				return
			}
			own := ttrpc.NewClient(conn)
			defer own.Close()
			if i%3 == 0 { // killed
				time.AfterFunc(rand.N(5*time.Millisecond), func() { conn.Close() })
				_ = s.request(own)
			} else if err := s.request(own); err != nil {
				t.Error("over its own connection:", err)
			}
		})
	}
	group.Wait()
	require.NoError(t, one.Close())
}

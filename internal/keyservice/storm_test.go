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
	files, routines := openFiles(t), runtime.NumGoroutine()
	for range 2 {
		s.blow(t)
		requireNoMore(t, files, routines)
	}
}

// requireNoMore waits until no more is there than was.
func requireNoMore(t *testing.T, files, routines int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); openFiles(t) > files || runtime.NumGoroutine() > routines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d files and %d goroutines were there, %d and %d are left\n%s", files, routines,
				openFiles(t), runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
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

package securemount

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trusted-store/trusted-store/storage/protocol/stores"
)

func TestListen(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "new", "service.sock")
	first, err := Listen(t.Context(), path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())
	_, err = Listen(t.Context(), path)
	require.ErrorIs(t, err, ErrSocketInUse)

	// As a server that was killed leaves it.
	unlinker, ok := first.(*net.UnixListener)
	require.True(t, ok)
	unlinker.SetUnlinkOnClose(false)
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	second, err := Listen(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = Listen(t.Context(), path)
	require.ErrorContains(t, err, "no socket")
}

// Of many servers that start at once one gets the socket, also a stale one.
func TestListenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	var mu sync.Mutex
	var all []net.Listener
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			l, err := Listen(t.Context(), path)
			if err == nil {
				mu.Lock()
				all = append(all, l)
				mu.Unlock()
			} else if !errors.Is(err, ErrSocketInUse) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, all, 1)
	require.NoError(t, all[0].Close())
}

// slowHealth answers when it is told to.
type slowHealth struct {
	*Server
	entered, proceed chan struct{}
}

func (s *slowHealth) Health(ctx context.Context, r *stores.HealthRequest) (*stores.HealthResponse, error) {
	s.entered <- struct{}{}
	select {
	case <-s.proceed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Server.Health(ctx, r)
}

// A request under way ends, and its client gets the reply; new ones are refused.
func TestGracefulStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.sock")
	l, err := Listen(t.Context(), path)
	require.NoError(t, err)
	service := &slowHealth{New(Options{Version: "v1"}), make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, nil, func(s *ttrpc.Server) { stores.RegisterStoresService(s, service) })
	}()
	client := connect(t, path)
	type answer struct {
		response *stores.HealthResponse
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		r, err := client.Health(context.Background(), &stores.HealthRequest{})
		answers <- answer{r, err}
	}()
	<-service.entered
	idle := connect(t, path)
	_, err = idle.Status(t.Context(), &stores.StatusRequest{})
	require.Error(t, err)
	require.NotEqual(t, codes.Unavailable, status.Code(err), "it is connected: %v", err)
	cancel()
	require.Eventually(t, func() bool {
		_, err := net.Dial("unix", path)
		return err != nil
	}, time.Minute, time.Millisecond)
	_, err = idle.List(t.Context(), &stores.ListRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	time.Sleep(3 * replyTime)
	close(service.proceed)
	got := <-answers
	require.NoError(t, got.err)
	require.Equal(t, "v1", got.response.Version)
	require.NoError(t, <-served)
	require.NoFileExists(t, path)
}

// connect returns a client of a service.
func connect(t *testing.T, path string) stores.StoresClient {
	t.Helper()
	return stores.NewStoresClient(dial(t, path))
}

func dial(t *testing.T, path string) *ttrpc.Client {
	t.Helper()
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestLocks(t *testing.T) {
	var l locks
	release, err := l.acquire(t.Context(), "a")
	require.NoError(t, err)
	other, err := l.acquire(t.Context(), "b")
	require.NoError(t, err)
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = l.acquire(ctx, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	release()
	inside := 0
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			release, err := l.acquire(context.Background(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			inside++ // the race detector, or the sum, tells
			release()
		})
	}
	group.Wait()
	require.Equal(t, 100, inside)
	require.Empty(t, l.held)
}

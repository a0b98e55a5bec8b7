package keyservice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
)

// listen returns a socket in a directory of the test.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	return l
}

// startServer serves until stop is called, or the test ends.
func startServer(t *testing.T, l net.Listener, register func(*ttrpc.Server)) (stop func()) {
	t.Helper()
	server, err := ttrpc.NewServer()
	require.NoError(t, err)
	register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = server.Close()
			_ = l.Close()
			if err := <-ended; !errors.Is(err, ttrpc.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// startRelay serves mounts, which succeed, and passes on everything else.
func startRelay(t *testing.T, upstream string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "front.sock")
	relay := &Relay{Upstream: upstream, Ours: map[string]bool{"api.SecureMountService": true}, Log: slog.New(slog.DiscardHandler)}
	startServer(t, relay.Listen(listen(t, socket)), func(s *ttrpc.Server) { cdh.RegisterSecureMountServiceService(s, mounts{}) })
	return socket
}

type mounts struct{}

func (mounts) SecureMount(context.Context, *cdh.SecureMountRequest) (*cdh.SecureMountResponse, error) {
	return &cdh.SecureMountResponse{}, nil
}

func dialClient(t testing.TB, socket string) *ttrpc.Client {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { client.Close() })
	return client
}

func requireOursGoesOn(t *testing.T, client *ttrpc.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := cdh.NewSecureMountServiceClient(client).SecureMount(ctx, &cdh.SecureMountRequest{})
	require.NoError(t, err)
}

// oracle is a server with methods of every kind.
func oracle(s *ttrpc.Server) {
	s.RegisterService("test.Oracle", &ttrpc.ServiceDesc{
		Methods: map[string]ttrpc.Method{"Fail": fail, "Time": timeLeft, "Metadata": metadata, "Long": long},
		Streams: map[string]ttrpc.Stream{
			"Echo": {Handler: echo, StreamingClient: true, StreamingServer: true},
			"Sum":  {Handler: sum, StreamingClient: true},
			"Many": {Handler: many, StreamingServer: true},
		},
	})
}

// fail fails with the code whose number is asked for, and a detail.
func fail(_ context.Context, unmarshal func(any) error) (any, error) {
	var r cdh.GetResourceRequest
	var code codes.Code
	if err := unmarshal(&r); err != nil {
		return nil, err
	}
	if _, err := fmt.Sscan(r.ResourcePath, (*uint32)(&code)); err != nil {
		return nil, err
	}
	s, err := status.New(code, "no: "+r.ResourcePath+" €").WithDetails(&errdetails.ErrorInfo{Reason: "because"})
	return nil, errors.Join(err, s.Err())
}

func timeLeft(ctx context.Context, _ func(any) error) (any, error) {
	end, limited := ctx.Deadline()
	if !limited {
		return &cdh.GetResourceResponse{}, nil
	}
	return &cdh.GetResourceResponse{Resource: []byte(time.Until(end).String())}, nil
}

func metadata(ctx context.Context, _ func(any) error) (any, error) {
	all, _ := ttrpc.GetMetadata(ctx)
	return &cdh.GetResourceResponse{Resource: []byte(strings.Join(all["test-key"], ","))}, nil
}

func long(context.Context, func(any) error) (any, error) {
	return &cdh.GetResourceResponse{Resource: make([]byte, 4<<20-64)}, nil
}

func echo(_ context.Context, s ttrpc.StreamServer) (any, error) {
	for {
		var m cdh.GetResourceResponse
		if err := s.RecvMsg(&m); err != nil {
			return nil, ignoreEOF(err)
		}
		if err := s.SendMsg(&m); err != nil {
			return nil, err
		}
	}
}

func sum(_ context.Context, s ttrpc.StreamServer) (any, error) {
	total := &cdh.GetResourceResponse{}
	for {
		var m cdh.GetResourceResponse
		if err := s.RecvMsg(&m); err != nil {
			return total, ignoreEOF(err)
		}
		total.Resource = append(total.Resource, m.Resource...)
	}
}

func many(_ context.Context, s ttrpc.StreamServer) (any, error) {
	var r cdh.GetResourceRequest
	if err := s.RecvMsg(&r); err != nil {
		return nil, err
	}
	for i := range 3 {
		if err := s.SendMsg(&cdh.GetResourceResponse{Resource: fmt.Append(nil, r.ResourcePath, i)}); err != nil {
			return nil, err
		}
	}
	return nil, status.Error(codes.Aborted, "after three")
}

// What comes through a relay is what comes without it.
func TestRelayChangesNothing(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	startServer(t, listen(t, back), oracle)
	direct, relayed := dialClient(t, back), dialClient(t, startRelay(t, startRelay(t, back)))
	both := func(method string, ctx context.Context, r proto.Message) (a, b *cdh.GetResourceResponse) {
		a, b = &cdh.GetResourceResponse{}, &cdh.GetResourceResponse{}
		errA := direct.Call(ctx, "test.Oracle", method, r, a)
		errB := relayed.Call(ctx, "test.Oracle", method, r, b)
		require.True(t, proto.Equal(status.Convert(errA).Proto(), status.Convert(errB).Proto()), "%v, %v", errA, errB)
		return a, b
	}
	for code := range uint32(17) {
		both("Fail", t.Context(), &cdh.GetResourceRequest{ResourcePath: fmt.Sprint(code)})
	}
	both("Nothing", t.Context(), &cdh.GetResourceRequest{})
	a, b := both("Long", t.Context(), &cdh.GetResourceRequest{})
	require.Len(t, a.Resource, 4<<20-64)
	require.True(t, proto.Equal(a, b))
	a, b = both("Metadata", ttrpc.WithMetadata(t.Context(), ttrpc.MD{"test-key": {"one", "two"}}), &cdh.GetResourceRequest{})
	require.Equal(t, "one,two", string(a.Resource))
	require.True(t, proto.Equal(a, b))
	a, b = both("Time", t.Context(), &cdh.GetResourceRequest{})
	require.Empty(t, a.Resource)
	require.Empty(t, b.Resource)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, b = both("Time", ctx, &cdh.GetResourceRequest{})
	left, err := time.ParseDuration(string(b.Resource))
	require.NoError(t, err)
	require.Greater(t, left, 50*time.Minute)
	require.LessOrEqual(t, left, time.Hour)
	err = relayed.Call(t.Context(), "no.Such", "Service", &cdh.GetResourceRequest{}, &cdh.GetResourceResponse{})
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
	requireOursGoesOn(t, relayed)
}

func TestRelayStreams(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	startServer(t, listen(t, back), oracle)
	client := dialClient(t, startRelay(t, startRelay(t, back)))
	message := func(text string) *cdh.GetResourceResponse { return &cdh.GetResourceResponse{Resource: []byte(text)} }
	got := &cdh.GetResourceResponse{}

	s, err := client.NewStream(t.Context(), &ttrpc.StreamDesc{StreamingClient: true, StreamingServer: true}, "test.Oracle", "Echo", nil)
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, s.SendMsg(message(fmt.Sprint(i))))
		require.NoError(t, s.RecvMsg(got))
		require.Equal(t, fmt.Sprint(i), string(got.Resource))
	}
	require.NoError(t, s.CloseSend())
	require.ErrorContains(t, s.RecvMsg(got), "EOF")

	s, err = client.NewStream(t.Context(), &ttrpc.StreamDesc{StreamingClient: true}, "test.Oracle", "Sum", nil)
	require.NoError(t, err)
	for _, part := range []string{"a", "b", "c"} {
		require.NoError(t, s.SendMsg(message(part)))
	}
	require.NoError(t, s.CloseSend())
	require.NoError(t, s.RecvMsg(got))
	require.Equal(t, "abc", string(got.Resource))

	s, err = client.NewStream(t.Context(), &ttrpc.StreamDesc{StreamingServer: true}, "test.Oracle", "Many", &cdh.GetResourceRequest{ResourcePath: "n"})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, s.RecvMsg(got))
		require.Equal(t, fmt.Sprint("n", i), string(got.Resource))
	}
	require.Equal(t, codes.Aborted, status.Code(s.RecvMsg(got)))
}

// vault has resources that it gives out at once, and one that it is slow with.
type vault struct {
	entered chan struct{} // nil: nothing is slow
	gone    *atomic.Int64 // callers that did not wait
}

func (v vault) GetResource(ctx context.Context, r *cdh.GetResourceRequest) (*cdh.GetResourceResponse, error) {
	if r.ResourcePath == "slow" {
		v.entered <- struct{}{}
		<-ctx.Done()
		v.gone.Add(1)
		return nil, ctx.Err()
	}
	return &cdh.GetResourceResponse{Resource: []byte("secret of " + r.ResourcePath)}, nil
}

func (v vault) register(s *ttrpc.Server) { cdh.RegisterGetResourceServiceService(s, v) }

// A server that is not there, comes, dies and comes again: always a clear answer, over
// the same connection.
func TestRelayWithoutUpstream(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	client := dialClient(t, startRelay(t, back))
	resources := cdh.NewGetResourceServiceClient(client)
	unavailable := func() {
		_, err := resources.GetResource(t.Context(), &cdh.GetResourceRequest{ResourcePath: "a"})
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "api.GetResourceService at "+back)
		requireOursGoesOn(t, client)
	}
	for range 3 {
		unavailable()
		stop := startServer(t, listen(t, back), vault{}.register)
		for range 2 {
			got, err := resources.GetResource(t.Context(), &cdh.GetResourceRequest{ResourcePath: "a"})
			require.NoError(t, err)
			require.Equal(t, "secret of a", string(got.Resource))
		}
		stop()
		_ = os.Remove(back)
	}
	unavailable()

	none := dialClient(t, startRelay(t, ""))
	_, err := cdh.NewGetResourceServiceClient(none).GetResource(t.Context(), &cdh.GetResourceRequest{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.ErrorContains(t, err, "api.GetResourceService: not served here")
	requireOursGoesOn(t, none)
}

// A request that waits when the other server dies is answered.
func TestRelayUpstreamDies(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	v := vault{make(chan struct{}), new(atomic.Int64)}
	stop := startServer(t, listen(t, back), v.register)
	client := dialClient(t, startRelay(t, back))
	failed := make(chan error, 1)
	go func() {
		_, err := cdh.NewGetResourceServiceClient(client).GetResource(context.Background(), &cdh.GetResourceRequest{ResourcePath: "slow"})
		failed <- err
	}()
	<-v.entered
	stop()
	err := <-failed
	require.NotEqual(t, codes.OK, status.Code(err))
	requireOursGoesOn(t, client)
}

// A server that reads and never answers, or does not even read, holds up nothing
// else; a deadline ends the wait, also of a client that does not look at it.
func TestRelaySilentUpstream(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	l := listen(t, back)
	defer l.Close()
	socket := startRelay(t, back)
	client := dialClient(t, socket)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	refused := new(atomic.Int64)
	for range 16 {
		group.Go(func() {
			_, err := cdh.NewGetResourceServiceClient(client).GetResource(ctx, &cdh.GetResourceRequest{ResourcePath: strings.Repeat("x", 1<<20)})
			if status.Code(err) == codes.Unavailable {
				refused.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() > 0 }, time.Minute, time.Millisecond, "8 MiB wait at the most")
	requireOursGoesOn(t, client)
	cancel()
	group.Wait()

	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer conn.Close()
	request := &ttrpc.Request{Service: "api.GetResourceService", Method: "GetResource", TimeoutNano: int64(time.Millisecond)}
	message, err := proto.Marshal(request)
	require.NoError(t, err)
	_, err = conn.Write(append([]byte{0, 0, 0, byte(len(message)), 0, 0, 0, 1, typeRequest, 0}, message...))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	f, err := readFrame(conn)
	require.NoError(t, err)
	_, err = secretOf(f[frameHeader:])
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
}

// The other server is told when a client goes away.
func TestRelayClientGoes(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	v := vault{make(chan struct{}), new(atomic.Int64)}
	startServer(t, listen(t, back), v.register)
	client := dialClient(t, startRelay(t, back))
	go func() {
		_, _ = cdh.NewGetResourceServiceClient(client).GetResource(context.Background(), &cdh.GetResourceRequest{ResourcePath: "slow"})
	}()
	<-v.entered
	require.NoError(t, client.Close())
	require.Eventually(t, func() bool { return v.gone.Load() == 1 }, time.Minute, time.Millisecond)
}

// Frames that no client sends are answered, as a server answers them, or end that one
// connection.
func TestRelayMalformed(t *testing.T) {
	back := filepath.Join(t.TempDir(), "back.sock")
	startServer(t, listen(t, back), vault{}.register)
	socket := startRelay(t, back)
	for name, c := range map[string]struct {
		frame []byte
		code  codes.Code
	}{
		"no request":      {[]byte{0, 0, 0, 2, 0, 0, 0, 1, typeRequest, 0, 0xff, 0xff}, codes.InvalidArgument},
		"unknown stream":  {[]byte{0, 0, 0, 1, 0, 0, 0, 7, typeData, 0, 0}, codes.InvalidArgument},
		"a server's id":   {append([]byte{0, 0, 0, 5, 0, 0, 0, 2, typeRequest, 0}, "\x0a\x03a.b"...), codes.InvalidArgument},
		"no text":         {append([]byte{0, 0, 0, 5, 0, 0, 0, 1, typeRequest, 0}, "\x0a\x03a\xffb"...), codes.InvalidArgument},
		"longer than any": {append([]byte{0, 0x40, 0, 1, 0, 0, 0, 1, typeRequest, 0}, make([]byte, 4<<20+1)...), codes.ResourceExhausted},
	} {
		conn, err := net.Dial("unix", socket)
		require.NoError(t, err)
		_, err = conn.Write(c.frame)
		require.NoError(t, err, name)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		f, err := readFrame(conn)
		require.NoError(t, err, name)
		_, err = secretOf(f[frameHeader:])
		require.Equal(t, c.code, status.Code(err), "%s: %v", name, err)
		require.NoError(t, conn.Close())
	}
	requireOursGoesOn(t, dialClient(t, socket))
}

func ignoreEOF(err error) error {
	if err != nil && strings.Contains(err.Error(), "EOF") {
		return nil
	}
	return err
}

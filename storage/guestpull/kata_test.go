package guestpull_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/trusted-store/trusted-store/storage/guestpull/handover"
)

// kataShim answers containerd in place of Kata's runtime: it keeps what it is to
// start, and starts nothing.
type kataShim struct {
	mu      sync.Mutex
	pulls   map[string]handover.Pull // by container
	failed  error                    // of the last mount that nobody understands
	running map[string]chan struct{}
}

// startKataShim puts a program where containerd looks for the shim of Kata's runtime,
// which tells it to talk to this process.
func startKataShim(t *testing.T) *kataShim {
	t.Helper()
	k := &kataShim{pulls: map[string]handover.Pull{}, running: map[string]chan struct{}{}}
	server, err := ttrpc.NewServer()
	require.NoError(t, err)
	server.RegisterService("containerd.task.v2.Task", k.service())
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	go func() { _ = server.Serve(context.Background(), listener) }() // until it is closed
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	script := "#!/bin/sh\nfor last; do :; done\n[ \"$last\" != start ] || printf unix://" + listener.Addr().String() + "\n"
	require.NoError(t, os.RemoveAll(kataProgram))
	require.NoError(t, os.WriteFile(kataProgram, []byte(script), 0o755))
	return k
}

// kataProgram is where containerd looks for runtime_type io.containerd.kata-qemu.v2.
const kataProgram = "/usr/local/bin/containerd-shim-kata-qemu-v2"

// service has what containerd calls from the start of a sandbox to its end.
func (k *kataShim) service() *ttrpc.ServiceDesc {
	pid := uint32(os.Getpid())
	return &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"Create":  method(func(r *taskapi.CreateTaskRequest) any { k.create(r); return &taskapi.CreateTaskResponse{Pid: pid} }),
		"Start":   method(func(*taskapi.StartRequest) any { return &taskapi.StartResponse{Pid: pid} }),
		"Connect": method(func(*taskapi.ConnectRequest) any { return &taskapi.ConnectResponse{ShimPid: pid, TaskPid: pid} }),
		"State":   method(func(r *taskapi.StateRequest) any { return k.state(r.ID) }),
		"Wait": method(func(r *taskapi.WaitRequest) any {
			<-k.end(r.ID)
			return &taskapi.WaitResponse{ExitedAt: timestamppb.Now()}
		}),
		"Kill": method(func(r *taskapi.KillRequest) any { k.kill(r.ID); return &emptypb.Empty{} }),
		"Delete": method(func(*taskapi.DeleteRequest) any {
			return &taskapi.DeleteResponse{Pid: pid, ExitedAt: timestamppb.Now()}
		}),
		"Shutdown": method(func(*taskapi.ShutdownRequest) any { return &emptypb.Empty{} }),
	}}
}

func method[Q any](answer func(*Q) any) ttrpc.Method {
	return func(_ context.Context, unmarshal func(any) error) (any, error) {
		q := new(Q)
		if err := unmarshal(q); err != nil {
			return nil, err
		}
		return answer(q), nil
	}
}

// create does what Kata's runtime does with the mount of a root filesystem.
func (k *kataShim) create(r *taskapi.CreateTaskRequest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running[r.ID] = make(chan struct{})
	var spec specs.Spec
	text, err := os.ReadFile(filepath.Join(r.Bundle, "config.json"))
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	for _, m := range r.Rootfs {
		if err == nil {
			k.pulls[r.ID], err = handover.FromMount(m.Options, spec.Annotations)
		}
	}
	if err != nil {
		k.failed = err
	}
}

// pull is what a container is to be started from.
func (k *kataShim) pull(id string) (handover.Pull, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pulls[id], k.failed
}

func (k *kataShim) end(id string) chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.running[id]
}

func (k *kataShim) state(id string) *taskapi.StateResponse {
	s := &taskapi.StateResponse{ID: id, Pid: uint32(os.Getpid()), Status: tasktypes.Status_RUNNING}
	select {
	case <-k.end(id):
		s.Status, s.ExitedAt = tasktypes.Status_STOPPED, timestamppb.Now()
	default:
	}
	return s
}

func (k *kataShim) kill(id string) {
	end := k.end(id)
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-end:
	default:
		close(end)
	}
}

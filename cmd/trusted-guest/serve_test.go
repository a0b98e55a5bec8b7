package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/securemount"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// process is a trusted-guest that serves.
type process struct {
	*exec.Cmd
	socket string
	stderr bytes.Buffer
}

// launch starts a service and waits until it is ready, as a service manager does.
func launch(t *testing.T, socket string, args ...string) *process {
	t.Helper()
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer func() { require.NoError(t, ready.Close()) }()
	p := &process{Cmd: exec.Command("trusted-guest", append([]string{"serve", "--socket", socket}, args...)...), socket: socket}
	p.Stderr = &p.stderr
	p.Env = append(os.Environ(), "NOTIFY_SOCKET="+ready.LocalAddr().String())
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() }) // most have ended by then
	require.NoError(t, ready.SetReadDeadline(time.Now().Add(time.Minute)))
	state := make([]byte, 64)
	n, err := ready.Read(state)
	require.NoError(t, err, "%s", &p.stderr)
	require.Equal(t, "READY=1", string(state[:n]))
	return p
}

// end waits for the process and returns its exit status, -1 after a signal.
func (p *process) end() int {
	_ = p.Wait() // the status says it
	return p.ProcessState.ExitCode()
}

func (p *process) client(t *testing.T) *ttrpc.Client {
	t.Helper()
	conn, err := net.Dial("unix", p.socket)
	require.NoError(t, err)
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { client.Close() })
	return client
}

func (p *process) mount(t *testing.T, req *cdh.SecureMountRequest) error {
	t.Helper()
	_, err := cdh.NewSecureMountServiceClient(p.client(t)).SecureMount(t.Context(), req)
	return err
}

func (p *process) unmount(t *testing.T, what string) {
	t.Helper()
	_, err := stores.NewStoresClient(p.client(t)).Unmount(t.Context(), &stores.UnmountRequest{Store: what})
	require.NoError(t, err)
}

func kernel(t *testing.T) {
	t.Helper()
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
}

// request is the agent's for a disk of the test. Stores on it do not outlive the
// test.
func request(t *testing.T, disk, dir string) *cdh.SecureMountRequest {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(disk, &st))
	number := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	t.Cleanup(func() {
		list, err := storage.List(context.Background())
		for _, live := range list {
			err = errors.Join(err, storage.Close(context.Background(), live.Name))
		}
		require.NoError(t, err)
	})
	return &cdh.SecureMountRequest{VolumeType: "block-device", MountPoint: dir, Options: map[string]string{
		"deviceId": number, "sourceType": "empty", "targetType": "fileSystem", "filesystemType": "ext4",
		"mkfsOpts": "-E lazy_journal_init", "encryptionType": "luks2", "dataIntegrity": "true",
	}}
}

func newSocket(t *testing.T) string { return filepath.Join(t.TempDir(), "guest.sock") }

// A service that is killed at any moment of a request, and started again: no store
// is lost or formatted twice, nothing half-made stays, the agent's next request is
// carried out.
func TestKilledService(t *testing.T) {
	kernel(t)
	slow := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	slow.Set(t, storagetest.Fault{Kind: storagetest.Slow, Delay: 5 * time.Millisecond})
	socket, dir := newSocket(t), filepath.Join(t.TempDir(), "store")
	req := request(t, slow.Path(), dir)
	p := launch(t, socket)
	began := time.Now()
	require.NoError(t, p.mount(t, req))
	took := time.Since(began)
	p.unmount(t, dir)

	left := map[string]int{}
	for i := range kills() {
		conn := p.client(t)
		go func() { _, _ = cdh.NewSecureMountServiceClient(conn).SecureMount(context.Background(), req) }()
		time.Sleep(took * time.Duration(i+1) / time.Duration(kills()))
		require.NoError(t, p.Process.Kill())
		require.Equal(t, -1, p.end())
		before, err := storage.List(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, len(before), 1)
		state, mounted := "nothing", len(before) == 1 && len(before[0].Mounts) > 0
		if len(before) == 1 {
			state = string(before[0].State)
		}
		left[state]++
		if mounted {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("kept"), 0o600))
		}

		p = launch(t, socket)
		require.NoError(t, p.mount(t, req), "what was left: %s", state)
		after, err := storage.List(t.Context())
		require.NoError(t, err)
		require.Len(t, after, 1)
		require.Equal(t, storage.StateMounted, after[0].State)
		require.Empty(t, after[0].Problems)
		if mounted {
			require.Equal(t, before[0].UUID, after[0].UUID)
			text, err := os.ReadFile(filepath.Join(dir, "f"))
			require.NoError(t, err)
			require.Equal(t, "kept", string(text))
		}
		p.unmount(t, dir)
	}
	t.Log("killed requests that take", took, "left", left)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.end(), "%s", &p.stderr)
}

// SIGTERM lets a request under way end, and the store stays.
func TestTerminatedService(t *testing.T) {
	kernel(t)
	host := storagetest.NewFaulty(t, storagetest.Disk(t, 64<<20))
	socket, dir := newSocket(t), filepath.Join(t.TempDir(), "store")
	req := request(t, host.Path(), dir)
	p := launch(t, socket, "--json")
	host.Hold(t)
	answered := make(chan error, 1)
	client := cdh.NewSecureMountServiceClient(p.client(t))
	go func() {
		_, err := client.SecureMount(context.Background(), req)
		answered <- err
	}()
	host.AwaitHeld(t)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		_, err := net.Dial("unix", socket)
		return err != nil
	}, time.Minute, time.Millisecond, "it takes no new requests")
	host.Set(t)
	require.NoError(t, <-answered, "the request was carried out, and answered")
	require.Zero(t, p.end(), "%s", &p.stderr)
	require.NoFileExists(t, socket)
	list, err := storage.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, storage.StateMounted, list[0].State)
	var messages []string
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Msg, Level, Time string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		messages = append(messages, entry.Msg)
	}
	require.Equal(t, []string{"serving", "stopping", "store is usable"}, messages[:3])
	require.Equal(t, "stopped", messages[len(messages)-1])
}

// A second service on the same socket says so; the first one goes on.
func TestSecondService(t *testing.T) {
	kernel(t)
	socket := newSocket(t)
	p := launch(t, socket)
	out, _ := exec.Command("trusted-guest", "serve", "--socket", socket).CombinedOutput()
	require.Equal(t, "trusted-guest: serve: socket "+socket+": another server answers there\n", string(out))
	health, err := stores.NewStoresClient(p.client(t)).Health(t.Context(), &stores.HealthRequest{})
	require.NoError(t, err)
	require.Equal(t, cli.Version(), health.Version)
	info, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())
}

// Elsewhere the key is copied and never wiped, and its derivation takes 1 GiB. Here
// neither the key nor much memory is found in the process.
func TestMemoryOfTheService(t *testing.T) {
	kernel(t)
	socket, dir := newSocket(t), filepath.Join(t.TempDir(), "store")
	key := "k3y-" + strings.Repeat("0123456789abcdef", 2) + fmt.Sprint(os.Getpid())
	upstream := startKeys(t, keeper(key))
	p := launch(t, socket, "--upstream", upstream)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(key), 0o600))
	disk := storagetest.Disk(t, 64<<20)
	for _, source := range []string{"kbs:///default/key/1", "sealed.a.b.c", "file://" + file, ""} {
		req := request(t, disk, dir)
		if source != "" {
			req.Options["key"] = source
		}
		require.NoError(t, p.mount(t, req))
		p.unmount(t, dir)
	}
	passedOn := &cdh.UnsealSecretInput{Secret: []byte("sealed.a.b.c")}
	got, err := cdh.NewSealedSecretServiceClient(p.client(t)).UnsealSecret(t.Context(), passedOn)
	require.NoError(t, err)
	require.Equal(t, key, string(got.Plaintext))
	require.True(t, inMemory(t, p.Process.Pid, []byte("kbs:///default/key/1")), "the search finds what is there")
	for _, part := range []string{key[:16], key[16:32], key[len(key)-12:]} {
		require.False(t, inMemory(t, p.Process.Pid, []byte(part)), part)
	}
	require.NotContains(t, p.stderr.String(), key[4:20])

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, peak)
	var kib int
	_, err = fmt.Sscan(string(peak[1]), &kib)
	require.NoError(t, err)
	t.Logf("%d MiB of memory at the most", kib/1024)
	require.Less(t, kib, (64+64)<<10, "64 MiB are argon2id's, for a key that is text")
}

// keyServices are those of a guest that hand out keys.
type keyServices interface {
	cdh.GetResourceServiceService
	cdh.SealedSecretServiceService
}

// startKeys serves keys in this process, on a socket of the test.
func startKeys(t *testing.T, keys keyServices) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "keys.sock")
	l, err := securemount.Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- securemount.Serve(ctx, l, nil, func(s *ttrpc.Server) {
			cdh.RegisterGetResourceServiceService(s, keys)
			cdh.RegisterSealedSecretServiceService(s, keys)
		})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return socket
}

type keeper string

func (k keeper) GetResource(context.Context, *cdh.GetResourceRequest) (*cdh.GetResourceResponse, error) {
	return &cdh.GetResourceResponse{Resource: []byte(k)}, nil
}

func (k keeper) UnsealSecret(context.Context, *cdh.UnsealSecretInput) (*cdh.UnsealSecretOutput, error) {
	return &cdh.UnsealSecretOutput{Plaintext: []byte(k)}, nil
}

// inMemory looks for bytes in all that a process can write to.
func inMemory(t *testing.T, pid int, needle []byte) bool {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	require.NoError(t, err)
	defer mem.Close()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	searched := 0
	for line := range strings.Lines(string(maps)) {
		var start, end int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		region := make([]byte, end-start)
		if _, err := mem.ReadAt(region, start); err != nil {
			continue // of a device
		}
		searched += len(region)
		if bytes.Contains(region, needle) {
			return true
		}
	}
	require.Greater(t, searched, 2<<20)
	return false
}

// The unit starts the program with flags that it has.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("trusted-guest.service")
	require.NoError(t, err)
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/trusted-guest (.*)$`).FindSubmatch(text)
	require.NotNil(t, start)
	root := (&app{}).root()
	verb, rest, err := root.Find(strings.Fields(string(start[1])))
	require.NoError(t, err)
	require.Equal(t, "serve", verb.Name())
	require.NoError(t, verb.ParseFlags(rest))
}

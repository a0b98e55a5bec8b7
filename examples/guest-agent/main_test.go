package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/securemount"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

func writeSpec(t *testing.T, devices ...specs.LinuxDevice) string {
	t.Helper()
	text, err := json.Marshal(specs.Spec{Linux: &specs.Linux{Devices: devices}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

func TestWithoutDevice(t *testing.T) {
	where, err := prepareImages(t.Context(), writeSpec(t), "/no/socket")
	require.NoError(t, err)
	require.Equal(t, "memory", where)
}

// From the specification to a file on the store.
func TestAgent(t *testing.T) {
	storagetest.Kernel(t, "crypt", "integrity")
	storagetest.CheckLeaks(t)
	disk := storagetest.Disk(t, 256<<20)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(disk, &st))
	socket := filepath.Join(t.TempDir(), "guest.sock")
	server := securemount.New(securemount.Options{})
	defer server.Close()
	l, err := securemount.Listen(t.Context(), socket)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- securemount.Serve(ctx, l, nil, server.Register) }()
	defer func() { stop(); require.NoError(t, <-ended) }()

	where, err := prepareImages(t.Context(), writeSpec(t, specs.LinuxDevice{
		Path: "/dev/trusted_store", Type: "b", Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
	}), socket)
	require.NoError(t, err)
	defer func() { require.NoError(t, storage.Close(context.Background(), where)) }()
	require.NoError(t, os.MkdirAll(filepath.Join(where, "layers", "0"), 0o755))
	live, err := storage.StatusOf(t.Context(), where)
	require.NoError(t, err)
	require.Equal(t, disk, live.Device)
	require.Equal(t, "hmac(sha256)", live.Integrity)
}

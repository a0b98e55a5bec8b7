package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
)

var stores = []storage.Status{
	{
		Name: "encrypted_disk_A", UUID: "a", State: storage.StateMounted, DeviceNumber: "7:0", DeviceBytes: 64 << 20, Sectors: 90112,
		Cipher: "aes-xts-plain64", Integrity: "hmac(sha256)", Tags: "memory", Mounts: []storage.Mount{{Dir: "/mnt/\xff"}},
		Filesystem: &storage.Filesystem{Bytes: 40 << 20, AvailableBytes: 30 << 20, Inodes: 100, FreeInodes: 90},
		Growth:     &storage.Growth{Bytes: 41 << 20, Target: 44 << 20, Grower: 4711}, TagMemory: &storage.TagMemory{Bytes: 320, Limit: 640},
	},
	{Name: "plain", UUID: "b", State: storage.StateMapped, Integrity: "none", Problems: []string{"the device is gone"}},
	{Name: "swap", UUID: "c", State: storage.StateSwap, Integrity: "hmac(sha256)", Tags: "device", Swap: &storage.SwapUse{Bytes: 4096, UsedBytes: 0}},
}

func listed() *Metrics {
	m := New("v1")
	m.live.list = func(context.Context) ([]storage.Status, error) { return stores, nil }
	return m
}

// Names, units and help are as Prometheus asks for.
func TestLint(t *testing.T) {
	m := listed()
	m.IntegrityError(storage.IntegrityEvent{UUID: "a", Failures: 1})
	problems, err := testutil.GatherAndLint(m.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// What is live, and what was done.
func TestValues(t *testing.T) {
	m := listed()
	m.IntegrityError(storage.IntegrityEvent{UUID: "a", Failures: 2})
	m.IntegrityError(storage.IntegrityEvent{UUID: "a", Failures: 1})
	m.IntegrityError(storage.IntegrityEvent{UUID: "closed since", Failures: 1})
	m.SetUp(true, 150*time.Millisecond, nil)
	m.SetUp(false, time.Second, errors.New("no"))
	m.Pulled(2*time.Second, 1000, nil)
	m.Pulled(time.Second, 234, errors.New("no"))
	text := scrape(t, m)
	for _, line := range []string{
		`trusted_store_stores{state="mounted"} 1`, `trusted_store_stores{state="mapped"} 1`, `trusted_store_stores{state="incomplete"} 0`,
		`trusted_store_store_info{cipher="aes-xts-plain64",device="7:0",integrity="hmac(sha256)",mount_point="/mnt/` + "\uFFFD" + `",store="encrypted_disk_A",tags="memory",uuid="a"} 1`,
		`trusted_store_device_size_bytes{store="encrypted_disk_A"} 6.7108864e+07`,
		`trusted_store_mapping_size_bytes{store="encrypted_disk_A"} 4.6137344e+07`,
		`trusted_store_filesystem_size_bytes{store="encrypted_disk_A"} 4.194304e+07`,
		`trusted_store_filesystem_used_bytes{store="encrypted_disk_A"} 1.048576e+07`,
		`trusted_store_grown_bytes{store="encrypted_disk_A"} 4.2991616e+07`,
		`trusted_store_full_size_bytes{store="encrypted_disk_A"} 4.6137344e+07`,
		`trusted_store_growing{store="encrypted_disk_A"} 1`,
		`trusted_store_tag_memory_bytes{store="encrypted_disk_A"} 320`,
		`trusted_store_stores{state="swap"} 1`, `trusted_store_swap_size_bytes{store="swap"} 4096`, `trusted_store_swap_used_bytes{store="swap"} 0`,
		`trusted_store_problems{store="plain"} 1`,
		`trusted_store_integrity_errors_total{store="encrypted_disk_A"} 3`,
		`trusted_store_setup_duration_seconds_bucket{action="format",le="0.2"} 1`,
		`trusted_store_setup_duration_seconds_count{action="open"} 0`,
		`trusted_store_setup_failures_total{action="open"} 1`,
		`trusted_store_pull_duration_seconds_sum 2`,
		`trusted_store_pull_failures_total 1`,
		`trusted_store_pull_received_bytes_total 1234`,
		`trusted_store_build_info{version="v1"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, `trusted_store_integrity_errors_total{store="plain"}`, "nothing would detect any")
	require.NotContains(t, text, `trusted_store_filesystem_size_bytes{store="plain"}`)
	require.Len(t, m.live.failures, 1)
}

// Where device-mapper cannot be asked, what was done is still shown.
func TestNotListed(t *testing.T) {
	m := listed()
	m.live.list = func(context.Context) ([]storage.Status, error) { return nil, errors.New("no device-mapper") }
	m.Pulled(time.Second, 1, nil)
	text := scrape(t, m)
	require.Contains(t, text, "trusted_store_pull_duration_seconds_count 1\n")
	require.NotContains(t, text, "trusted_store_stores")
}

// scrape asks as Prometheus does, and ends the server.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, l, slog.New(slog.DiscardHandler)) }()
	answer, err := http.Get("http://" + l.Addr().String() + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	other, err := http.Post("http://"+l.Addr().String()+"/metrics", "", nil)
	require.NoError(t, err)
	other.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, other.StatusCode)
	cancel()
	require.NoError(t, <-ended)
	return string(text)
}

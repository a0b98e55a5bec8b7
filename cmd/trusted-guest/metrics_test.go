package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/integrity"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

func TestMetricsAddress(t *testing.T) {
	for text, want := range map[string]string{
		"9464": "127.0.0.1:9464", ":9464": "127.0.0.1:9464", "localhost:80": "127.0.0.1:80",
		"0.0.0.0:1": "0.0.0.0:1", "[::1]:0": "[::1]:0",
	} {
		at, err := metricsAddress(text)
		require.NoError(t, err)
		require.Equal(t, want, at.String())
	}
	for _, text := range []string{"x", "127.0.0.1", "host.example:80", "-1", "65536", "run/metrics.sock"} {
		require.ErrorContains(t, checkMetricsAddress(text), "expected IP:PORT")
	}
	require.NoError(t, checkMetricsAddress(""))
	require.NoError(t, checkMetricsAddress("/run/metrics.sock"))
}

// A block that the host changed is seen by whoever watches the store, with the file
// that it is of, and in the metrics.
func TestMetricsOfTheService(t *testing.T) {
	kernel(t)
	const size = 64 << 20
	disk, dir, shown := storagetest.Disk(t, size), filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "metrics.sock")
	number := request(t, disk, dir).Options["deviceId"]
	p := launch(t, newSocket(t), "--metrics", shown)
	require.Contains(t, scrape(t, shown), "trusted_store_stores{state=\"mounted\"} 0\n")
	client, err := stores.Dial(t.Context(), p.socket)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.OpenVolume(t.Context(), &stores.OpenVolumeRequest{
		Device: number, Contents: stores.Contents_CONTENTS_NONE, MountPoint: dir, Name: "watched",
	})
	require.NoError(t, err)
	text := scrape(t, shown)
	for _, line := range []string{
		`trusted_store_stores{state="mounted"} 1`, `trusted_store_setup_duration_seconds_count{action="format"} 1`,
		`trusted_store_integrity_errors_total{store="watched"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("contents", 1000)), 0o600))
	unix.Sync()
	layout, err := integrity.Plan(size/512, cryptsetup.DataOffset/512, integrity.MinimalJournal)
	require.NoError(t, err)
	sector := blockOf(t, file) * 8
	storagetest.FlipBit(t, disk, int64(layout.DataSector(sector))*512+77)
	storagetest.DropBuffers(t)
	events, err := client.WatchVolume(t.Context(), &stores.WatchVolumeRequest{Store: dir})
	require.NoError(t, err)
	e, err := events.Recv()
	require.NoError(t, err)
	require.Equal(t, stores.VolumeEvent_KIND_STATE, e.Kind)
	require.ErrorIs(t, readDirect(t, file), unix.EILSEQ)
	for e.Kind != stores.VolumeEvent_KIND_INTEGRITY_ERROR {
		e, err = events.Recv()
		require.NoError(t, err)
	}
	require.Len(t, e.Unreadable, 1)
	require.Equal(t, sector, e.Unreadable[0].Sector)
	require.Equal(t, "file", e.Unreadable[0].Holds)
	require.Equal(t, []string{"/file"}, e.Unreadable[0].Paths)
	require.Contains(t, scrape(t, shown), `trusted_store_integrity_errors_total{store="watched"} 1`+"\n")
	p.unmount(t, dir)
	text = scrape(t, shown)
	require.NotContains(t, text, "watched")
	require.NotContains(t, text, "/file")

	require.NoError(t, p.Process.Signal(unix.SIGTERM))
	require.Zero(t, p.end(), "%s", &p.stderr)
	require.NoFileExists(t, shown)
	require.Contains(t, p.stderr.String(), "blocks cannot be authenticated")
}

// scrape asks the socket, which is root's alone.
func scrape(t *testing.T, socket string) string {
	t.Helper()
	info, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	answer, err := client.Get("http://metrics/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// blockOf returns the filesystem's number of the first block of a file (FIBMAP).
func blockOf(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var block int32
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 1, uintptr(unsafe.Pointer(&block)))
	require.Zero(t, errno)
	return uint64(block)
}

// readDirect reads the first block of a file past the page cache.
func readDirect(t *testing.T, path string) error {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	require.NoError(t, err)
	defer f.Close()
	block, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(block)) }()
	_, err = f.Read(block)
	return err
}

package storage_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// After a store was made, closed, opened and closed again, and the key wiped,
// the process holds neither the key nor the volume's key any more. It runs
// apart, so that the one that looks may know both.
func TestNoKeyStaysInMemory(t *testing.T) {
	kernel(t)
	disk := storagetest.Disk(t, smallVolume)
	passphrase := make([]byte, 40)
	_, _ = rand.Read(passphrase)
	file := keyFile(t, string(passphrase))
	child := startHolder(t, disk, file)
	child.expect(t, "holds the key")
	require.NotEmpty(t, child.find(t, map[string][]byte{"key": passphrase}), "the search finds what is there")
	child.proceed(t)
	child.expect(t, "done")

	dumped := filepath.Join(t.TempDir(), "volume-key")
	tool(t, "cryptsetup", "luksDump", "-q", "--dump-volume-key", "--volume-key-file", dumped, "--key-file", file, disk)
	volumeKey, err := os.ReadFile(dumped)
	require.NoError(t, err)
	needles := map[string][]byte{}
	add := func(name string, key []byte) {
		for i := 0; i+8 <= len(key); i += 8 {
			piece := key[i : i+8]
			needles[fmt.Sprintf("%s, bytes %d to %d", name, i, i+8)] = piece
			needles[fmt.Sprintf("%s, bytes %d to %d, as an inner pad of HMAC", name, i, i+8)] = masked(piece, 0x36)
			needles[fmt.Sprintf("%s, bytes %d to %d, as an outer pad of HMAC", name, i, i+8)] = masked(piece, 0x5c)
		}
	}
	add("key", passphrase)
	add("volume key", volumeKey)
	require.Empty(t, child.find(t, needles))
	child.proceed(t)
}

func masked(b []byte, mask byte) []byte {
	m := bytes.Clone(b)
	for i := range m {
		m[i] ^= mask
	}
	return m
}

// TestHolder is the process that TestNoKeyStaysInMemory looks into.
func TestHolder(t *testing.T) {
	disk, file, ok := strings.Cut(os.Getenv("TRUSTED_STORE_HOLDER"), ",")
	if !ok {
		t.Skip("runs as a part of TestNoKeyStaysInMemory")
	}
	in := bufio.NewReader(os.Stdin)
	say := func(what string) {
		fmt.Println(what)
		_, err := in.ReadString('\n')
		require.NoError(t, err)
	}
	source, err := storage.ParseKeySource("file:" + file)
	require.NoError(t, err)
	key, err := source.Load(nil)
	require.NoError(t, err)
	say("holds the key")
	dir := filepath.Join(t.TempDir(), "store")
	s, err := storage.Create(t.Context(), disk, storage.CreateOptions{Key: key, MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	s, err = storage.Open(t.Context(), disk, key, storage.OpenOptions{MountPoint: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	key.Wipe()
	say("done")
}

type holder struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

func startHolder(t *testing.T, disk, keyFile string) *holder {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHolder$", "-test.v")
	cmd.Env = append(os.Environ(), "TRUSTED_STORE_HOLDER="+disk+","+keyFile)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	return &holder{cmd.Process.Pid, in, bufio.NewReader(out)}
}

func (h *holder) expect(t *testing.T, line string) {
	t.Helper()
	var seen strings.Builder
	for {
		got, err := h.out.ReadString('\n')
		seen.WriteString(got)
		require.NoError(t, err, "the process said: %s", seen.String())
		if strings.TrimSpace(got) == line {
			return
		}
	}
}

func (h *holder) proceed(t *testing.T) {
	t.Helper()
	_, err := fmt.Fprintln(h.in)
	require.NoError(t, err)
}

// find looks for the needles in all memory of the process, and says which are
// where.
func (h *holder) find(t *testing.T, needles map[string][]byte) (found []string) {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", h.pid))
	require.NoError(t, err)
	defer mem.Close()
	searched := 0
	for _, line := range strings.Split(readFile(t, fmt.Sprintf("/proc/%d/maps", h.pid)), "\n") {
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
		for name, needle := range needles {
			if i := bytes.Index(region, needle); i >= 0 {
				found = append(found, fmt.Sprintf("%s at %x (%s)", name, start+int64(i), line))
			}
		}
	}
	require.Greater(t, searched, 4*mib)
	return found
}

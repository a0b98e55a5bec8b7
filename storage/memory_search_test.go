package storage_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holder is a process that handles keys and stops where the test wants to look into
// its memory. It runs apart, so that the one that looks may know the keys.
type holder struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

// startHolder runs a test of this binary as a process, which gets two paths.
func startHolder(t *testing.T, test, disk, keyFile string) *holder {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v")
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

// holdsNone fails when the process keeps a piece of the keys. The garbage collector
// has the runtime erase what it finds unused, and does not wait for that.
func (h *holder) holdsNone(t *testing.T, keys map[string][]byte) {
	t.Helper()
	needles := pieces(keys)
	var found []string
	for end := time.Now().Add(10 * time.Second); ; {
		if found = h.find(t, needles); len(found) == 0 || time.Now().After(end) {
			break
		}
	}
	require.Empty(t, found)
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

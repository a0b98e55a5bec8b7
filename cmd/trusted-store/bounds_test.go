package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/storage/storagetest"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

const (
	inspectTime   = time.Second // of a processor
	inspectMemory = 64 << 20    // bytes, the program itself included
)

// Whatever inspect is given, it answers within a second of processor time and
// 64 MiB, with status 3 and the reason.
func TestInspectIsBounded(t *testing.T) {
	if storagetest.Bed() != "" || testing.Short() {
		t.Skip("builds the program: on the host, and not with -short")
	}
	program := filepath.Join(t.TempDir(), "trusted-store")
	text, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", text)

	// The kernel counts the memory of the process that starts another one as that
	// one's too: this test must stay small itself.
	inputs := map[string][]byte{
		"empty":     nil,
		"zeros":     make([]byte, 4<<20),
		"brackets":  header(strings.Repeat("[", 4<<20)),
		"huge JSON": header(`{"keyslots":{` + strings.Repeat(`"0":{},`, 600_000) + `}}`),
	}
	hostile, err := filepath.Glob("../../testdata/luks2/hostile/*")
	require.NoError(t, err)
	for i := 0; i < len(hostile); i += 25 { // package cryptsetup judges all of them
		text, err := os.ReadFile(hostile[i])
		require.NoError(t, err)
		v, err := vector.Parse(text)
		require.NoError(t, err)
		inputs[v.Name] = v.Bytes
	}
	require.Greater(t, len(inputs), 20)
	path, most := filepath.Join(t.TempDir(), "input"), int64(0)
	for name, input := range inputs {
		require.NoError(t, os.WriteFile(path, input, 0o600))
		c := exec.Command(program, "inspect", path)
		out, err := c.Output()
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), "%s is accepted", name)
		require.Equal(t, 3, exit.ExitCode(), "%s: %s", name, exit.Stderr)
		require.NotEmpty(t, out, name)
		require.Less(t, exit.UserTime()+exit.SystemTime(), inspectTime, name)
		usage, ok := exit.SysUsage().(*syscall.Rusage)
		require.True(t, ok)
		require.Less(t, int64(usage.Maxrss)<<10, int64(inspectMemory), name)
		most = max(most, int64(usage.Maxrss)<<10)
	}
	t.Logf("at the most %d bytes of memory", most)
}

// header returns a LUKS2 header that says that its JSON area is as large as the
// text needs.
func header(text string) []byte {
	b := make([]byte, 4096)
	copy(b, "LUKS\xba\xbe")
	binary.BigEndian.PutUint16(b[6:], 2)
	binary.BigEndian.PutUint64(b[8:], uint64(4096+len(text)))
	return bytes.Join([][]byte{b, []byte(text)}, nil)
}

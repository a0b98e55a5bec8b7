package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// On a terminal a long step shows how far it is, on a line that is gone at the
// end; with -q or elsewhere there is nothing.
func TestProgressBar(t *testing.T) {
	kernel(t)
	slow := slowDisk(t, 60*time.Millisecond)
	create := []string{"create", slow, "--name", "one", "--mount", t.TempDir()}

	shown := onTerminal(t, exitDone, create...)
	require.Regexp(t, `\r\x1b\[Kwrite filesystem \[#* +\] +\d+ % of \d`, shown)
	require.True(t, strings.HasSuffix(shown, "\r\x1b[K"), "%q", shown)
	runs(t, exitDone, "close", "one")

	require.Empty(t, onTerminal(t, exitDone, append(create, "-q")...))
	runs(t, exitDone, "close", "one")
	require.Empty(t, runs(t, exitDone, create...).stderr.String())
	runs(t, exitDone, "close", "one")
}

// On a terminal an error and its hint are folded between words; elsewhere each is one
// line.
func TestErrorsFitATerminal(t *testing.T) {
	onHost(t)
	wrong := []string{"create", "/dev/x", "--cipher", "aegis128", "--integrity", "hmac-sha256"}
	shown := strings.ReplaceAll(onTerminal(t, exitUsage, wrong...), "\r\n", "\n")
	for line := range strings.Lines(shown) {
		require.LessOrEqual(t, len(line), 80+len("\n"), "%q", line)
	}
	elsewhere := runs(t, exitUsage, wrong...).stderr.String()
	require.Equal(t, 2, strings.Count(elsewhere, "\n"))
	require.Greater(t, strings.Count(shown, "\n"), 2, "the premise: it is long")
	require.Equal(t, strings.Fields(elsewhere), strings.Fields(shown))
}

// onTerminal runs a command line with a terminal as standard error, and returns
// what came there.
func onTerminal(t *testing.T, status int, args ...string) string {
	t.Helper()
	control, terminal := newTerminal(t)
	defer control.Close()
	c := exec.Command("trusted-store", args...)
	c.Stderr = terminal
	require.NoError(t, c.Start())
	require.NoError(t, terminal.Close())
	text, _ := io.ReadAll(control) // ends with EIO
	_ = c.Wait()                   // the status says it
	require.Equal(t, status, c.ProcessState.ExitCode(), "%s", text)
	return string(text)
}

// newTerminal returns both ends of a terminal.
func newTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	number, err := unix.IoctlGetUint32(int(control.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return control, terminal
}

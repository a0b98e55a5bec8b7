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

	shown := onTerminal(t, create...)
	require.Regexp(t, `\r\x1b\[Kwrite filesystem \[#* +\] +\d+ % of \d`, shown)
	require.True(t, strings.HasSuffix(shown, "\r\x1b[K"), "%q", shown)
	runs(t, exitDone, "close", "one")

	require.Empty(t, onTerminal(t, append(create, "-q")...))
	runs(t, exitDone, "close", "one")
	require.Empty(t, runs(t, exitDone, create...).stderr.String())
	runs(t, exitDone, "close", "one")
}

// onTerminal runs a command line with a terminal as standard error, and returns
// what came there.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	control, terminal := newTerminal(t)
	defer control.Close()
	c := exec.Command("trusted-store", args...)
	c.Stderr = terminal
	require.NoError(t, c.Start())
	require.NoError(t, terminal.Close())
	text, _ := io.ReadAll(control) // ends with EIO
	require.NoError(t, c.Wait())
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

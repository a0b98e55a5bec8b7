package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage/storagetest"
)

var endings = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// Whoever waits for a key that does not come can be stopped.
func TestWaitForKeyIsInterrupted(t *testing.T) {
	onHost(t)
	for _, signal := range endings {
		fifo := filepath.Join(t.TempDir(), "fifo")
		require.NoError(t, unix.Mkfifo(fifo, 0o600))
		p := launch(t, "open", "/dev/x", "--key", "file:"+fifo)
		w := writerOf(t, fifo)
		interrupted(t, p, signal)
		require.NoError(t, w.Close())

		r, w, err := os.Pipe()
		require.NoError(t, err)
		p = &process{Cmd: exec.Command("trusted-store", "open", "/dev/x", "--key", "-")}
		p.Stdin, p.Stderr = r, &p.stderr
		require.NoError(t, p.Start())
		_, err = w.WriteString("a part of it")
		require.NoError(t, err)
		until(t, func() bool { // it was read
			left, err := unix.IoctlGetUint32(int(r.Fd()), unix.TIOCINQ)
			require.NoError(t, err)
			return left == 0
		})
		interrupted(t, p, signal)
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())
	}
}

func interrupted(t *testing.T, p *process, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, p.Process.Signal(signal))
	require.Equal(t, exitInterrupted, p.end(), "%v: %s", signal, &p.stderr)
	require.Equal(t, "trusted-store: open: key: wait for it: interrupted\n", p.stderr.String())
}

// writerOf opens the other end of a FIFO, which can be done once it is read.
func writerOf(t *testing.T, fifo string) (w *os.File) {
	t.Helper()
	until(t, func() (ok bool) {
		var err error
		w, err = os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0)
		return err == nil
	})
	return w
}

func until(t *testing.T, reached func() bool) {
	t.Helper()
	for began := time.Now(); !reached(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute)
	}
}

func onHost(t *testing.T) {
	t.Helper()
	if storagetest.Bed() != "" {
		t.Skip("needs no bed, where every process takes long to start")
	}
}

// At a terminal there is a prompt, nobody sees the key, and the terminal is what it
// was, whatever ends it.
func TestKeyFromTerminal(t *testing.T) {
	onHost(t)
	for _, signal := range append(endings, 0) {
		control, terminal := newTerminal(t)
		before := settings(t, terminal)
		c := exec.Command("trusted-store", "open", "/dev/x", "--key", "-")
		c.Stdin, c.Stdout, c.Stderr = terminal, terminal, terminal
		require.NoError(t, c.Start())
		shown := readUntil(t, control, "key: ")
		require.Zero(t, settings(t, terminal).Lflag&unix.ECHO)
		if signal == 0 {
			_, err := control.WriteString("hunter2\n")
			require.NoError(t, err)
		} else {
			require.NoError(t, c.Process.Signal(signal))
		}
		shown += readUntil(t, control, map[bool]string{true: "open: /dev/x: ", false: "interrupted"}[signal == 0])
		_ = c.Wait() // the status says it
		require.Equal(t, signal != 0, c.ProcessState.ExitCode() == exitInterrupted, shown)
		require.NotContains(t, shown, "hunter2")
		require.Equal(t, before, settings(t, terminal))
		require.NoError(t, terminal.Close())
		require.NoError(t, control.Close())
	}
}

func settings(t *testing.T, terminal *os.File) *unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return s
}

// readUntil reads what is shown up to a text.
func readUntil(t *testing.T, r io.Reader, text string) string {
	t.Helper()
	var shown bytes.Buffer
	for b := make([]byte, 1); !strings.Contains(shown.String(), text); {
		_, err := r.Read(b)
		require.NoError(t, err, "%q", &shown)
		shown.Write(b)
	}
	return shown.String()
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputGrace is how long output is still awaited after the command ended,
// when a process that it left behind holds its pipes open.
const outputGrace = 2 * time.Second

// runCommand runs the command of s, carries its input and output, and returns
// its exit status as a shell counts it.
func runCommand(l *link, s *start) (int, error) {
	path, err := lookPath(s.Args[0], s.Env)
	if err != nil {
		return 0, err
	}
	io, err := newStreams(s)
	if err != nil {
		return 0, err
	}
	var pumps sync.WaitGroup
	for k, from := range io.out {
		pumps.Go(func() { pump(l, k, from) })
	}
	pid, err := syscall.ForkExec(path, s.Args, &syscall.ProcAttr{
		Dir: s.Dir,
		Env: s.Env,
		Files: []uintptr{
			io.child[0].Fd(), io.child[1].Fd(), io.child[2].Fd(),
		},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: s.TTY},
	})
	closeAll(io.child)
	if err != nil {
		return 0, fmt.Errorf("start %s in %s: %w", s.Args[0], s.Dir, err)
	}
	go obey(l, io, pid)
	status, err := reap(pid)
	waitFor(&pumps, outputGrace)
	return status, err
}

// lookPath finds a program in the PATH of env, which is not init's own.
func lookPath(name string, env []string) (string, error) {
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		if err := os.Setenv("PATH", path); err != nil {
			return "", err
		}
	}
	return exec.LookPath(name)
}

// streams are the ends of the command's standard files.
type streams struct {
	child []*os.File // for the command, in the order of its descriptors
	in    *os.File   // what is written here is the command's input
	out   map[kind]*os.File
	tty   bool
}

func newStreams(s *start) (*streams, error) {
	if s.TTY {
		return newTerminal(s.Window)
	}
	var ends [3][2]*os.File
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ends[i] = [2]*os.File{r, w}
	}
	return &streams{
		child: []*os.File{ends[0][0], ends[1][1], ends[2][1]},
		in:    ends[0][1],
		out:   map[kind]*os.File{kindStdout: ends[1][0], kindStderr: ends[2][0]},
	}, nil
}

// newTerminal makes a pseudo-terminal and gives its far side to the command.
func newTerminal(w windowSize) (*streams, error) {
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetUint32(int(ptmx.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	pts, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	st := &streams{child: []*os.File{pts, pts, pts}, in: ptmx, out: map[kind]*os.File{kindStdout: ptmx}, tty: true}
	st.resize(w)
	return st, nil
}

func (st *streams) resize(w windowSize) {
	if st.tty && w.Rows > 0 {
		// A wrong size is only ugly.
		_ = unix.IoctlSetWinsize(int(st.in.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: w.Rows, Col: w.Cols})
	}
}

// pump sends what can be read until the end, which on a terminal is an error.
func pump(l *link, k kind, from *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && l.send(k, buf[:n]) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

// obey does what the host asks for while the command runs.
func obey(l *link, st *streams, pid int) {
	input := make(chan []byte, 1)
	go feed(l, st, input)
	for {
		k, payload, err := l.receive()
		if err != nil {
			return
		}
		switch k {
		case kindStdin:
			input <- payload
		case kindStdinEnd:
			close(input)
		case kindSignal:
			// The command may just have ended.
			_ = unix.Kill(-pid, unix.Signal(payload[0]))
		case kindResize:
			var w windowSize
			if decode(payload, &w) == nil {
				st.resize(w)
			}
		}
	}
}

// feed writes the command's input and asks for more after each piece. Input
// that the command does not want is dropped.
func feed(l *link, st *streams, input <-chan []byte) {
	for data := range input {
		_, err := st.in.Write(data)
		if l.send(kindTaken, nil) != nil || err != nil && !errors.Is(err, unix.EPIPE) {
			break
		}
	}
	if !st.tty {
		st.in.Close()
	}
	for range input {
		if l.send(kindTaken, nil) != nil {
			return
		}
	}
}

// reap collects every process that ends, as the first process must, until the
// one asked for has ended.
func reap(pid int) (int, error) {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the command: %w", err)
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case got == pid:
			return ws.ExitStatus(), nil
		}
	}
}

// waitFor waits for the group, but not longer than limit.
func waitFor(g *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// configure gives the guest what a booted system has.
func configure() error {
	links := map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"}
	for name, to := range links {
		if err := os.Symlink(to, name); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return loopbackUp()
}

// loopbackUp brings the interface lo up, for tests that serve on 127.0.0.1.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}

// environ is the caller's environment with what the guest must have changed.
func environ(caller []string, set map[string]string) []string {
	var env []string
	for _, kv := range caller {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := set[name]; !ours {
			env = append(env, kv)
		}
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env
}

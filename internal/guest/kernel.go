package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A kernel in user mode is several processes, and some of them survive the
// first one. So this program starts itself again as a watcher. The watcher starts
// the kernel, adopts what it leaves behind, and ends and collects all of it as
// soon as the kernel or the program that wanted it has ended, however that
// happened: a pipe to which nobody writes tells it.

// watchMark is set for the watcher; its value is the descriptor of the pipe.
const watchMark = "GUEST_WATCH"

// killGrace is how long the watcher may take to collect what it killed.
const killGrace = 10 * time.Second

// kernel is the watcher of the processes that run the guest's kernel.
type kernel struct {
	watcher *exec.Cmd
	alive   *os.File      // the pipe's other end
	ended   chan struct{} // closed when the watcher was collected
}

// startKernel starts the watcher with the kernel's command line, in a process
// group that Ctrl-C does not reach.
func startKernel(cmd *exec.Cmd, m *machine) (*kernel, error) {
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	watcher := exec.Command(m.self)
	watcher.Args = append([]string{cmd.Path}, cmd.Args[1:]...)
	watcher.Dir = cmd.Dir
	watcher.Env = append(renamed(cmd.Environ(), linkerPrefix, heldPrefix+linkerPrefix), watchMark+"="+strconv.Itoa(3+len(m.files)))
	if m.cpuLock != nil {
		watcher.Env = append(watcher.Env, cpuMark+"="+strconv.Itoa(m.cpu))
	}
	watcher.Stdout, watcher.Stderr = m.console, m.console
	watcher.ExtraFiles = append(append([]*os.File(nil), m.files...), r)
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := watcher.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start the kernel process: %w", err)
	}
	closeAll(m.files)
	m.files = nil
	k := &kernel{watcher: watcher, alive: w, ended: make(chan struct{})}
	go func() {
		// How it ended does not matter: the result came over the channel.
		_ = watcher.Wait()
		close(k.ended)
	}()
	return k, nil
}

// kill has the watcher end the kernel at once.
func (k *kernel) kill() {
	k.alive.Close()
	select {
	case <-k.ended:
	case <-time.After(killGrace):
		// The kernel follows its parent.
		_ = k.watcher.Process.Kill()
		<-k.ended
	}
}

// finish waits for the kernel to end by itself, and ends it if it does not.
func (k *kernel) finish(grace time.Duration) {
	select {
	case <-k.ended:
	case <-time.After(grace):
	}
	k.kill()
}

// runWatcher is the watcher. The kernel it starts is killed with the thread that
// started it, which must be locked.
func runWatcher(pipe string) int {
	fd, err := strconv.Atoi(pipe)
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: %s=%q is no descriptor\n", watchMark, pipe)
		return statusFailed
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "guest: adopt the kernel's processes:", err)
		return statusFailed
	}
	if mark := os.Getenv(cpuMark); mark != "" {
		if err := stayOnCPU(mark); err != nil {
			fmt.Fprintln(os.Stderr, "guest: keep the kernel on one CPU:", err)
			return statusFailed
		}
	}
	pid, err := startWatched(fd)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest: start the kernel:", err)
		return statusFailed
	}
	go func() {
		// Nobody writes: the read ends when the runner does.
		_, _ = os.NewFile(uintptr(fd), "pipe from the runner").Read(make([]byte, 1))
		killAll(pid)
	}()
	collect(pid)
	return 0
}

// startWatched starts the kernel with the descriptors below fd, in a group of
// its own; a kernel in user mode would make one anyway.
func startWatched(fd int) (int, error) {
	var files []uintptr
	for i := range fd {
		files = append(files, uintptr(i))
		if i > 2 {
			unix.CloseOnExec(i)
		}
	}
	unix.CloseOnExec(fd)
	pid, err := syscall.ForkExec(os.Args[0], os.Args, &syscall.ProcAttr{
		Env:   renamed(environ(os.Environ(), map[string]string{watchMark: "", cpuMark: ""}), heldPrefix+linkerPrefix, linkerPrefix),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL},
	})
	for i := 3; i < fd; i++ {
		unix.Close(i)
	}
	return pid, err
}

// The kernel's dynamic linker has variables that the watcher's, if it has one, must
// not see: they are held back under another name.
const linkerPrefix, heldPrefix = "LD_", "GUEST_HELD_"

// renamed changes the prefix of variables' names.
func renamed(env []string, from, to string) []string {
	out := slices.Clone(env)
	for i, kv := range out {
		if rest, ok := strings.CutPrefix(kv, from); ok {
			out[i] = to + rest
		}
	}
	return out
}

// killAll ends the kernel and its group.
func killAll(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_ = unix.Kill(-pid, unix.SIGKILL)
}

// collect waits for the kernel, and then for everything that it left, which is
// killed.
func collect(pid int) {
	for {
		got, err := syscall.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		if got == pid {
			killAll(pid)
		}
	}
}

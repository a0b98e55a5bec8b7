package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootLimits is how long a guest may take until its init answers, for each
// attempt, when -timeout does not end it earlier. An emulated machine has
// hung before that, once in hundreds of boots (soft lockup of a kernel worker);
// nothing has run by then, so it is booted again. Emulation on a busy machine is
// slow.
var bootLimits = []time.Duration{45 * time.Second, 45 * time.Second, 90 * time.Second, 90 * time.Second, 3 * time.Minute}

// phaseBoot is the phase of a timeoutError when the guest may be booted again.
const phaseBoot = "without an answer from the guest's init"

// errDiedEarly says that a guest may be booted again: nothing ran in it. An emulated
// machine of several CPUs has died of an instruction that its kernel was just
// rewriting: of Linux 6.1 one in hundreds, of 7.3 one in a few.
var errDiedEarly = errors.New("the guest died before its init answered")

// endGrace is how long the kernel may take to stop after the result is known.
const endGrace = 15 * time.Second

// timeoutError says that the guest was killed because its time was over.
type timeoutError struct {
	limit time.Duration
	phase string
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("killed after %s %s; raise it with -timeout", e.limit, e.phase)
}

// session is the host's side of one run.
type session struct {
	opts           *options
	bootLimit      time.Duration
	start          *start
	host           *os.File
	stdout, stderr io.Writer

	link  *link
	stop  chan os.Signal
	taken chan struct{} // the guest wants the next piece
	ready bool          // the guest's init has answered
}

// run starts the kernel process, serves it until it reports, and ends it.
func (s *session) run(cmd *exec.Cmd, m *machine) (int, error) {
	s.link = newLink(s.host)
	s.taken = make(chan struct{}, 1)
	s.stop = make(chan os.Signal, 4)
	signal.Notify(s.stop, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGWINCH)
	defer signal.Stop(s.stop)

	k, err := startKernel(cmd, m)
	if err != nil {
		return 0, err
	}
	restore, err := s.terminal()
	if err != nil {
		k.kill()
		return 0, err
	}
	r, err := s.attend(k)
	restore()
	if err != nil {
		k.kill()
		return s.explain(m, err)
	}
	k.finish(endGrace)
	return s.conclude(r)
}

// attend serves frames until the result, a signal or the end of time.
func (s *session) attend(k *kernel) (*result, error) {
	frames := make(chan frame)
	go s.read(frames)
	boot := time.NewTimer(s.bootLimit)
	defer boot.Stop()
	var total <-chan time.Time
	if s.opts.timeout > 0 {
		total = time.After(s.opts.timeout)
	}
	ended := k.ended
	for {
		select {
		case f := <-frames:
			r, err := s.handle(f, boot)
			if r != nil || err != nil {
				return r, err
			}
		case sig := <-s.stop:
			if err := s.signalled(sig); err != nil {
				return nil, err
			}
		case <-boot.C:
			return nil, &timeoutError{s.bootLimit, phaseBoot}
		case <-total:
			return nil, &timeoutError{s.opts.timeout, "of running " + s.start.Args[0]}
		case <-ended:
			// What it sent before its end is still to be read.
			ended = nil
			if err := s.host.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				return nil, err
			}
		}
	}
}

// frame is one frame or the error that ends the stream.
type frame struct {
	kind    kind
	payload []byte
	err     error
}

func (s *session) read(frames chan<- frame) {
	for {
		k, p, err := s.link.receive()
		frames <- frame{k, p, err}
		if err != nil || k == kindResult {
			return
		}
	}
}

// handle does what one frame asks for. It returns the result when that is what
// came.
func (s *session) handle(f frame, boot *time.Timer) (*result, error) {
	switch {
	case f.err != nil && !s.ready:
		return nil, fmt.Errorf("%w: %w", errDiedEarly, f.err)
	case f.err != nil:
		return nil, fmt.Errorf("the guest died while it ran %s: %w", s.start.Args[0], f.err)
	}
	switch f.kind {
	case kindReady:
		boot.Stop()
		s.ready = true
		text, err := encode(s.start)
		if err != nil {
			return nil, err
		}
		go s.feed(text, os.Stdin)
	case kindStdout:
		return nil, writeAll(s.stdout, f.payload)
	case kindStderr:
		return nil, writeAll(s.stderr, f.payload)
	case kindTaken:
		s.taken <- struct{}{}
	case kindFile:
		return nil, storeChange(f.payload, s.start.Keep)
	case kindResult:
		r := &result{}
		return r, decode(f.payload, r)
	default:
		return nil, fmt.Errorf("the guest sent a frame of unknown kind %q: the stream is out of step", byte(f.kind))
	}
	return nil, nil
}

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

// feed tells the guest what to run and then carries this program's input to the
// command. An error means that the guest is gone, which others notice too.
func (s *session) feed(start []byte, in io.Reader) {
	if s.sendPieces(kindStart, bytes.NewReader(start)) != nil || s.link.send(kindStart, nil) != nil {
		return
	}
	if s.sendPieces(kindStdin, in) == nil {
		_ = s.link.send(kindStdinEnd, nil)
	}
}

// sendPieces sends what can be read, a piece whenever the last one was taken.
func (s *session) sendPieces(k kind, from io.Reader) error {
	buf := make([]byte, pieceSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if err := s.link.send(k, buf[:n]); err != nil {
				return err
			}
			<-s.taken
		}
		if err != nil {
			// Input that cannot be read any more has ended.
			return nil
		}
	}
}

// signalError says that a signal to this program ended the guest.
type signalError struct{ sig syscall.Signal }

func (e *signalError) Error() string { return "killed by " + e.sig.String() }

// signalled acts on a signal to this program: all of them end the guest, but
// for SIGQUIT, with which the go command asks a test to show its goroutines.
func (s *session) signalled(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	switch {
	case !ok:
		return nil
	case number == unix.SIGWINCH:
		if s.opts.interactive && s.ready {
			return s.link.sendValue(kindResize, terminalSize())
		}
		return nil
	case number == unix.SIGQUIT && s.ready:
		return s.link.send(kindSignal, []byte{byte(number)})
	default:
		return &signalError{number}
	}
}

// explain turns the failure of a guest into what the caller sees: with the end
// of the kernel's messages, unless a person stopped it.
func (s *session) explain(m *machine, err error) (int, error) {
	var sig *signalError
	if errors.As(err, &sig) {
		fmt.Fprintln(s.stderr, "guest:", sig)
		return 128 + int(sig.sig), nil
	}
	return 0, fmt.Errorf("%w\n%s", err, consoleTail(m.console))
}

// conclude reports the result of a run and chooses the exit status.
func (s *session) conclude(r *result) (int, error) {
	if r.Failure != "" {
		return 0, errors.New(r.Failure)
	}
	if len(r.Leaks) == 0 {
		return r.Status, nil
	}
	fmt.Fprintf(s.stderr, "guest: %s left behind:\n", s.start.Args[0])
	for _, l := range r.Leaks {
		fmt.Fprintln(s.stderr, "\t"+l)
	}
	if r.Status == 0 && s.opts.leaks && !s.opts.interactive {
		return statusLeaks, nil
	}
	return r.Status, nil
}

// consoleTail is the end of the kernel's messages, for a person.
func consoleTail(console *os.File) string {
	const lines, most = 40, 64 << 10
	info, err := console.Stat()
	if err != nil {
		return "no console output: " + err.Error()
	}
	text := make([]byte, min(info.Size(), most))
	if _, err := console.ReadAt(text, info.Size()-int64(len(text))); err != nil {
		return "no console output: " + err.Error()
	}
	all := strings.Split(string(bytes.TrimSpace(text)), "\n")
	tail := "last lines of the guest's console:\n\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
	for _, l := range all {
		if _, reason, ok := strings.Cut(l, "Kernel panic - "); ok {
			tail += "\nkernel panic: " + reason
		}
	}
	return tail
}

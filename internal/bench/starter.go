package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// starterWord as the first argument says that this process starts programs.
const starterWord = "starter"

// starter is a process that starts the programs of the sides. It is small and
// stays so: User-Mode Linux copies the address space of whoever starts a program,
// and that of this process, which has many filesystems ready, would take longer to
// copy the longer it runs.
type starter struct {
	process *exec.Cmd
	orders  io.WriteCloser
	in      *gob.Encoder
	out     *gob.Decoder
}

// start is the order to run a program to its end.
type start struct {
	Command []string
	Watch   bool
}

// ended is the answer.
type ended struct {
	Error string
	Peak  float64 // bytes, if it was watched
}

func newStarter() (*starter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, starterWord)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s := &starter{process: cmd, orders: orders, in: gob.NewEncoder(orders), out: gob.NewDecoder(answers)}
	return s, cmd.Start()
}

// close ends the process, after the program that it runs.
func (s *starter) close() error {
	return errors.Join(s.orders.Close(), s.process.Wait())
}

// run runs a program to its end, or, with the starter, to that of ctx.
func (s *starter) run(ctx context.Context, o start) (peak float64, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.process.Process.Kill() })
	defer stop()
	var e ended
	if err := errors.Join(s.in.Encode(o), s.out.Decode(&e)); err != nil {
		return 0, fmt.Errorf("%s: %w", o.Command[0], errors.Join(err, context.Cause(ctx)))
	}
	if e.Error != "" {
		return e.Peak, errors.New(e.Error)
	}
	return e.Peak, nil
}

// mainStarter is that process. It ends with its orders.
func mainStarter() error {
	runtime.LockOSThread() // programs end with the thread that started them
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var o start
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var e ended
		peak, err := o.run()
		if e.Peak = peak; err != nil {
			e.Error = err.Error()
		}
		if err := out.Encode(e); err != nil {
			return err
		}
	}
}

func (o start) command() *exec.Cmd {
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

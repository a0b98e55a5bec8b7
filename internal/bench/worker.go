package main

import (
	"context"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

// workerWord as the first argument says that this process is a worker.
const workerWord = "worker"

// worker is a process that runs the programs of the sides, or makes stores itself.
// It is small: this process has many filesystems ready, and in User-Mode Linux its
// children would start the slower, and its own calls take the longer, the longer it runs.
type worker struct {
	process *exec.Cmd
	orders  io.WriteCloser
	in      *gob.Encoder
	out     *gob.Decoder
}

// job is one of: run a program to its end, make a store, close it.
type job struct {
	Command []string
	Watch   bool

	Create, Dir string // device and mount point
	Close       bool
}

// result is the answer.
type result struct {
	Error string
	Peak  float64 // bytes, if it was watched
}

func newWorker() (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, workerWord)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w := &worker{process: cmd, orders: orders, in: gob.NewEncoder(orders), out: gob.NewDecoder(answers)}
	return w, cmd.Start()
}

// close ends the process, after the program that it runs.
func (w *worker) close() error {
	return errors.Join(w.orders.Close(), w.process.Wait())
}

// do has a job done, which a program's end or that of ctx ends, with the worker.
func (w *worker) do(ctx context.Context, j job) (peak float64, err error) {
	stop := context.AfterFunc(ctx, func() { _ = w.process.Process.Kill() })
	defer stop()
	var r result
	if err := errors.Join(w.in.Encode(j), w.out.Decode(&r)); err != nil {
		return 0, errors.Join(err, context.Cause(ctx))
	}
	if r.Error != "" {
		return r.Peak, errors.New(r.Error)
	}
	return r.Peak, nil
}

// mainWorker is that process. It ends with its orders.
func mainWorker(ctx context.Context) error {
	runtime.LockOSThread() // programs end with the thread that started them
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	var store *storage.Store
	for {
		var j job
		if err := in.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r result
		var err error
		switch {
		case j.Create != "":
			store, err = storage.Create(ctx, j.Create, storage.CreateOptions{Name: mapping, MountPoint: j.Dir})
		case j.Close:
			err = store.Close()
		default:
			r.Peak, err = j.run()
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func (j job) command() *exec.Cmd {
	cmd := exec.Command(j.Command[0], j.Command[1:]...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

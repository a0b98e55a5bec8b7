package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// programs runs the programs of a side. With watch set it remembers the most
// memory that one of them had. The kernel's own account, ru_maxrss, is of no use:
// it begins with the memory of the process that started the program.
type programs struct {
	worker *worker
	watch  bool
	peak   float64 // bytes
}

func (in *inside) programs() programs { return programs{worker: in.worker} }

// run runs a program to its end.
func (p *programs) run(ctx context.Context, command ...string) error {
	peak, err := p.worker.do(ctx, job{Command: command, Watch: p.watch})
	p.peak = max(p.peak, peak)
	return err
}

// run runs a program, in the worker. Its output goes to a file, since one that
// leaves a process behind would keep a pipe open.
func (j job) run() (peak float64, err error) {
	out, err := os.CreateTemp("", "out")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := j.command()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stop := func() float64 { return 0 }
	if j.Watch {
		stop = watch(cmd.Process.Pid)
	}
	err = cmd.Wait()
	peak = stop()
	if err != nil {
		text, _ := os.ReadFile(out.Name()) // only to explain the failure
		err = fmt.Errorf("%s: %w: %s", strings.Join(j.Command, " "), err, bytes.TrimSpace(text))
	}
	return peak, err
}

// watch reads a process's high-water mark, which only rises, again and again.
func watch(pid int) (stop func() (peak float64)) {
	end, peaks := make(chan struct{}), make(chan float64)
	go func() {
		peak := 0.0
		for {
			peak = max(peak, highWater(pid))
			select {
			case <-end:
				peaks <- peak
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() float64 { close(end); return <-peaks }
}

// highWater is VmHWM of a process in bytes, 0 when it has ended.
func highWater(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(text), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); !found || err != nil {
		return 0
	}
	return kib * 1024
}

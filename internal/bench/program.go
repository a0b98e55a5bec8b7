package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// programs runs the programs of a side. With watch set it remembers the most
// memory that one of them had. The kernel's own account, ru_maxrss, is of no use:
// it begins with the memory of the process that started the program.
type programs struct {
	watch bool
	peak  float64 // bytes
}

// run runs a program to its end. Its output goes to a file, since one that
// leaves a process behind would keep a pipe open.
func (p *programs) run(ctx context.Context, name string, args ...string) error {
	out, err := os.CreateTemp("", "out")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := p.watching(cmd.Process.Pid)
	err = cmd.Wait()
	stop()
	if err != nil {
		text, _ := os.ReadFile(out.Name()) // only to explain the failure
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(text))
	}
	return nil
}

// watching reads a process's high-water mark, which only rises, again and again.
func (p *programs) watching(pid int) (stop func()) {
	if !p.watch {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			p.peak = max(p.peak, highWater(pid))
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() { close(end); <-ended }
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

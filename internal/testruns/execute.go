package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// hostCPUs are shared by the runs: a machine of two is enough.
const hostCPUs = 2

// result is what came of a run.
type result struct {
	run
	kernel kernel
	counts
}

// execute carries out the runs, each package by itself, as many at once as there
// are CPUs for.
func execute(ctx context.Context, s settings, runs []run) ([]result, error) {
	kernels, err := askAll(ctx, s, runs)
	if err != nil {
		return nil, err
	}
	results := make([]result, len(runs))
	out := &lines{w: os.Stdout}
	room := semaphore.NewWeighted(hostCPUs)
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for i, r := range runs {
		results[i] = result{run: r, kernel: kernels[r.where]}
		for _, p := range r.longestFirst() {
			if err := room.Acquire(ctx, r.weight); err != nil {
				return nil, errors.Join(g.Wait(), err)
			}
			g.Go(func() error {
				defer room.Release(r.weight)
				c, err := r.test(ctx, s, p, out)
				mu.Lock()
				defer mu.Unlock()
				results[i].add(c)
				return err
			})
		}
	}
	return results, g.Wait()
}

// longestFirst begins with the packages that take as long as all others together.
func (r run) longestFirst() []string {
	var long, others []string
	for _, p := range r.packages {
		if strings.HasPrefix(p, "./storage") {
			long = append(long, p)
		} else {
			others = append(others, p)
		}
	}
	return append(long, others...)
}

// kernel is what a run's tests meet.
type kernel struct{ release, machine, cpus string }

// askAll boots a guest for each place and asks its kernel. One that cannot boot
// ends everything before it began.
func askAll(ctx context.Context, s settings, runs []run) (map[place]kernel, error) {
	kernels := map[place]kernel{}
	for _, r := range runs {
		if _, known := kernels[r.where]; known {
			continue
		}
		k, err := r.where.ask(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		kernels[r.where] = k
	}
	return kernels, nil
}

func (p place) ask(ctx context.Context, s settings) (kernel, error) {
	words := []string{"sh", "-c", "uname -r; uname -m; nproc"}
	if p != (place{}) {
		words = slices.Concat(strings.Fields(s.guest), p.flags(), []string{"--"}, words)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return kernel{}, fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	answer := strings.Fields(string(text))
	if len(answer) != 3 {
		return kernel{}, fmt.Errorf("%s printed %q, expected a release, a machine and a number of CPUs", strings.Join(words, " "), text)
	}
	return kernel{answer[0], answer[1], answer[2]}, nil
}

// command is the go test of one package.
func (r run) command(s settings, pkg string) []string {
	words := []string{s.gotool, "test", "-json"}
	if r.where != (place{}) {
		through := slices.Concat(strings.Fields(s.guest), r.where.flags(), r.flags)
		if r.where.elsewhere() {
			through = slices.Insert(through, 0, "env", "GOARCH=") // the tool itself is for the host
		}
		words = append(words, "-count=1", "-timeout", "3h", "-exec", strings.Join(through, " "))
	}
	return slices.Concat(words, r.args, []string{pkg})
}

// test tests one package, or a pattern of them.
func (r run) test(ctx context.Context, s settings, pkg string, out *lines) (counts, error) {
	words := r.command(s, pkg)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(append(os.Environ(), "TRUSTED_STORE_BEDS=required"), r.env...)
	if r.where != (place{}) {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOARCH="+r.where.arch)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return counts{}, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return counts{}, err
	}
	c, err := read(bufio.NewReader(stdout), func(line string) { out.print(r.name, line) })
	if err != nil {
		return c, errors.Join(err, cmd.Wait())
	}
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case err == nil:
	case ctx.Err() != nil:
		return c, ctx.Err()
	case errors.As(err, &exit):
		// Something failed. That it was no test that is counted is a failure, too.
		c.failed = max(c.failed, 1)
	default:
		return c, err
	}
	return c, nil
}

// lines prints whole lines of several runs.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) print(name, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%s: %s\n", name, strings.TrimSuffix(line, "\n"))
}

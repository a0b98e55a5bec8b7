package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// outside is the half that boots the beds.
type outside struct {
	guest      []string
	runs, only []string // empty: all
	short      bool
	tool, docs string
}

const resultsName = "performance.json"

func (o *outside) measure(ctx context.Context) error {
	for i := range runs {
		r := &runs[i]
		if len(o.runs) > 0 && !slices.Contains(o.runs, r.name) {
			continue
		}
		if err := o.boot(ctx, r); err != nil {
			return fmt.Errorf("run %s: %w", r.name, err)
		}
	}
	return nil
}

// boot makes one run and puts what it gave into the results, also when it ended
// early.
func (o *outside) boot(ctx context.Context, r *run) error {
	path := filepath.Join(o.docs, resultsName)
	all, err := loadResults(path)
	if err != nil {
		return err
	}
	throttle, err := r.throttle(all)
	if err != nil {
		return err
	}
	args, err := o.arguments(r, throttle)
	if err != nil || args == nil {
		return err
	}
	load := firstLine("/proc/loadavg")
	began := time.Now()
	fmt.Fprintf(os.Stderr, "bench: %s\n", strings.Join(args, " "))
	info, samples, runErr := collect(ctx, args)
	if len(samples) == 0 {
		return errors.Join(errors.New("nothing was measured"), runErr)
	}
	info.Run, info.Short, info.Throttle, info.Requests = r.name, o.short, throttle, r.requests
	info.Date, info.Seconds = began.UTC().Format("2006-01-02 15:04 MST"), time.Since(began).Round(time.Second).Seconds()
	info.Host, info.Load = host(), load
	// Another run may have ended meanwhile.
	if all, err = loadResults(path); err != nil {
		return errors.Join(runErr, err)
	}
	all.add(info, samples)
	return errors.Join(runErr, all.save(path))
}

// arguments is the whole command of a run; nil when none of its experiments is
// wanted.
func (o *outside) arguments(r *run, throttle uint64) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	tool, err := filepath.Abs(o.tool)
	if err != nil {
		return nil, err
	}
	experiments := slices.DeleteFunc(slices.Clone(r.experiments), func(e string) bool {
		return len(o.only) > 0 && !slices.Contains(o.only, e)
	})
	if len(experiments) == 0 {
		return nil, nil
	}
	disks := r.disks
	if o.short && r.shortDisks != "" {
		disks = r.shortDisks
	}
	args := append(slices.Clone(o.guest), "-bed", r.bed, "-mem", r.memory, "-disk", disks, "-timeout", "6h", "-file", tool)
	if r.cpus > 0 {
		args = append(args, "-cpus", fmt.Sprint(r.cpus))
	}
	if throttle > 0 {
		args = append(args, "-throttle", fmt.Sprint(throttle))
	}
	if r.requests > 0 {
		args = append(args, "-iops", fmt.Sprint(r.requests))
	}
	return append(args, self, insideWord, "-run", r.name, "-experiments", strings.Join(experiments, ","),
		"-tool", tool, "-form", o.form()), nil
}

func (o *outside) form() string {
	if o.short {
		return shortForm
	}
	return fullForm
}

// throttle is what a disk takes in bytes a second: where it follows from the bed,
// half of what that wrote through the same layers without a filesystem.
func (r *run) throttle(all *results) (uint64, error) {
	if !r.throttled {
		return r.bytes, nil
	}
	rate := spreadOf(all.of(r.bed, "write", layersSide, workSize))
	if rate.n == 0 {
		return 0, fmt.Errorf("the rate of encryption is not known: run %s first", r.bed)
	}
	return uint64(rate.median/2*1e6) &^ 4095, nil
}

// collect runs the guest and reads its lines; the rest of its output goes to
// standard error.
func collect(ctx context.Context, args []string) (bedInfo, []sample, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return bedInfo{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return bedInfo{}, nil, err
	}
	info, samples, err := readLines(out, os.Stderr)
	return info, samples, errors.Join(err, cmd.Wait())
}

func readLines(from io.Reader, rest io.Writer) (info bedInfo, samples []sample, err error) {
	for scan := bufio.NewScanner(from); scan.Scan(); err = scan.Err() {
		var l line
		switch {
		case json.Unmarshal(scan.Bytes(), &l) != nil:
			fmt.Fprintf(rest, "%s\n", scan.Bytes())
		case l.Info != nil:
			info = *l.Info
		case l.Sample != nil:
			samples = append(samples, *l.Sample)
		}
	}
	return info, samples, err
}

// host names this machine.
func host() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo") // the name is for people only
	for l := range bytes.Lines(text) {
		if name, value, found := strings.Cut(string(l), ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	count := bytes.Count(text, []byte("processor\t:"))
	return fmt.Sprintf("%s, %d CPUs, Linux %s", model, count, firstLine("/proc/sys/kernel/osrelease"))
}

// firstLine returns the first line of a small file, empty when there is none.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

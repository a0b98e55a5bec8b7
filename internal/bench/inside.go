package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// inside is the half that runs in a bed.
type inside struct {
	run    string
	tool   string  // path of trusted-store
	worker *worker // runs programs
	caller *worker // calls the library
	disks  []disk
	dir    string // private, with the key and the mount point
	out    *json.Encoder
	plan   plan
	seeds  map[string]uint64 // by disk: the size of the filesystem that Create begins with
}

// experiments by name.
var experiments = map[string]func(context.Context, *inside) error{
	"usable":     usable,
	"full":       full,
	"memory":     memory,
	"throughput": throughput,
	"random":     random,
	"requests":   requests,
	"journals":   journals,
	"profile":    profile,
	"ciphers":    ciphers,
}

func mainInside(ctx context.Context, args []string) (err error) {
	in := &inside{out: json.NewEncoder(os.Stdout), seeds: map[string]uint64{}}
	fs := flag.NewFlagSet("bench inside", flag.ContinueOnError)
	wanted := fs.String("experiments", "", "what to measure, separated by commas")
	fs.StringVar(&in.run, "run", "", "name of the run")
	fs.StringVar(&in.tool, "tool", "trusted-store", "the command to measure")
	form := fs.String("form", fullForm, "how much to measure: full, short, tiny")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for _, w := range []**worker{&in.worker, &in.caller} {
		if *w, err = newWorker(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*w).close()) }()
	}
	in.plan = planFor(in.run, *form)
	if in.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(in.dir)) }()
	return in.measure(ctx, list(*wanted), filepath.SplitList(os.Getenv("TRUSTED_STORE_DISKS")))
}

func (in *inside) measure(ctx context.Context, wanted, disks []string) error {
	for _, path := range disks {
		d, err := openDisk(path)
		if err != nil {
			return err
		}
		in.disks = append(in.disks, d)
	}
	if err := in.encode(line{Info: bed()}); err != nil {
		return err
	}
	var errs []error
	for _, name := range wanted {
		run := experiments[name]
		if run == nil {
			return fmt.Errorf("no experiment %q", name)
		}
		if err := run(ctx, in); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (in *inside) encode(l line) error { return in.out.Encode(l) }

func (in *inside) emit(measure, side string, size uint64, value float64) error {
	say("%-10s %-14s %10s  %s", measure, side, bytesText(size), figure(value))
	return in.encode(line{Sample: &sample{Run: in.run, Measure: measure, Side: side, Size: size, Value: value}})
}

// say reports progress.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }

// bed describes the machine inside.
func bed() *bedInfo {
	info := &bedInfo{Kernel: firstLine("/proc/sys/kernel/osrelease"), CPUs: runtime.NumCPU()}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		info.Memory = uint64(s.Totalram) * uint64(s.Unit)
	}
	var tools []string
	for _, command := range [][]string{{"cryptsetup", "--version"}, {"mkfs.ext4", "-V"}, {"fio", "--version"}} {
		if version := versionOf(command); version != "" {
			tools = append(tools, version)
		}
	}
	info.Tools = strings.Join(tools, "; ")
	return info
}

// versionOf is the first line that a program prints, empty when it is absent.
func versionOf(command []string) string {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

// available is MemAvailable in bytes, after what can be given back was. The tags
// that dm-integrity keeps are given back a little later than asked for.
func available() (float64, error) {
	unix.Sync()
	for range 3 {
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
			return 0, err
		}
		time.Sleep(200 * time.Millisecond)
	}
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var kib float64
	_, err = fmt.Sscan(rest, &kib)
	return kib * 1024, err
}

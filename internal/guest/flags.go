package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options is one command line of the tool.
type options struct {
	bed         string
	cpus        int
	mem         byteSize
	disks       diskList
	throttle    byteSize
	iops        uint
	timeout     time.Duration
	accel       string
	out         pathList
	files       pathList
	log         string
	cache       string
	kernel      string
	arch        string
	leaks       bool
	interactive bool
	args        []string
}

// envPrefix precedes the upper-case name of a flag in the environment.
const envPrefix = "GUEST_"

// errHelp means that the usage was asked for and printed.
var errHelp = errors.New("usage printed")

func (o *options) flagSet(w io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("guest", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Usage = func() { usage(w, fs) }
	fs.StringVar(&o.bed, "bed", "uml", "kernel to boot: `uml` (one CPU, quick) or qemu (several CPUs, emulated)")
	fs.IntVar(&o.cpus, "cpus", 0, "number of CPUs; uml has one (default 1 for uml, 4 for qemu)")
	fs.Var(&o.mem, "mem", "memory of the guest, a `size` such as 512M or 2G")
	fs.Var(&o.disks, "disk", "raw disks, separated by commas: a `size` makes a new sparse one, a path (with a slash) uses and keeps that file")
	fs.Var(&o.throttle, "throttle", "limit of each disk in `bytes` a second, qemu only (default none)")
	fs.UintVar(&o.iops, "iops", 0, "limit of each disk in `requests` a second of any size, qemu only (default none)")
	fs.DurationVar(&o.timeout, "timeout", 0, "kill the guest after this `time` (default: the test's own -test.timeout and a minute, else 20m)")
	fs.StringVar(&o.accel, "accel", "tcg", "how qemu runs the CPUs: `tcg` or kvm")
	fs.Var(&o.out, "out", "host `directory` below which files that the command changes reach the host; separated by colons, may be repeated")
	fs.Var(&o.files, "file", "host `path` that the command needs in the qemu bed; separated by colons, may be repeated")
	fs.StringVar(&o.log, "log", "", "keep the kernel's console output in this `file`")
	fs.StringVar(&o.cache, "cache", "", "`directory` of downloaded kernels and temporary disks (default: trusted-store-guest in the user's cache)")
	fs.StringVar(&o.kernel, "kernel", "", "`release` to boot: 6.1, 6.12, newest, or a directory with an unpacked package (default newest; 6.12 for arm64 and s390x)")
	fs.StringVar(&o.arch, "arch", hostArch, "`architecture` of the qemu bed's machine: amd64, arm64 or s390x")
	fs.BoolVar(&o.leaks, "leaks", true, "fail when the command leaves a mapping, loop device, mount or key behind")
	fs.BoolVar(&o.interactive, "i", false, "give the command this terminal; without a command: a shell")
	return fs
}

// parse reads the environment first and then the command line, so that a flag
// wins over its variable.
func parse(args, environ []string, w io.Writer) (*options, error) {
	o := &options{mem: 2 << 30}
	fs := o.flagSet(w)
	if err := fromEnviron(fs, environ); err != nil {
		return nil, err
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, errHelp
		}
		return nil, err
	}
	o.args = fs.Args()
	return o, o.complete()
}

func fromEnviron(fs *flag.FlagSet, environ []string) error {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || value == "" {
			continue
		}
		f := fs.Lookup(strings.ToLower(rest))
		if f == nil || f.Name == "i" {
			continue
		}
		if err := fs.Set(f.Name, value); err != nil {
			return fmt.Errorf("environment variable %s=%q: %w", name, value, err)
		}
	}
	return nil
}

// complete fills in what depends on other options and refuses what cannot work.
func (o *options) complete() error {
	if o.bed != "uml" && o.bed != "qemu" {
		return fmt.Errorf("unknown bed %q: use -bed uml or -bed qemu", o.bed)
	}
	if o.cpus == 0 {
		o.cpus = map[string]int{"uml": 1, "qemu": 4}[o.bed]
	}
	if o.bed == "uml" && o.cpus != 1 {
		return fmt.Errorf("the uml bed has one CPU, not %d: use -bed qemu", o.cpus)
	}
	if o.bed == "uml" && o.throttle != 0 {
		return errors.New("the uml bed cannot throttle a disk: use -bed qemu")
	}
	if o.bed == "uml" && o.iops != 0 {
		return errors.New("the uml bed cannot limit the requests of a disk: use -bed qemu")
	}
	if len(o.args) == 0 && !o.interactive {
		return errors.New("no command given: guest [flags] CMD [ARGS…], or guest -i for a shell")
	}
	if err := o.chooseKernel(); err != nil {
		return err
	}
	if o.timeout == 0 {
		o.timeout = defaultTimeout(o.args, o.interactive)
	}
	return o.cacheDir()
}

// defaultKernels are what boots when -kernel names nothing, for each architecture.
var defaultKernels = map[string]string{"amd64": newest, "arm64": "6.12", "s390x": "6.12"}

// chooseKernel checks -kernel, which becomes a series or an absolute path.
func (o *options) chooseKernel() error {
	if err := checkArch(o.bed, o.arch); err != nil {
		return err
	}
	if o.kernel == "" {
		o.kernel = defaultKernels[o.arch]
	}
	if _, ok := kernelSuites[kernelID{o.bed, o.kernel, o.arch}]; ok {
		return nil
	}
	if info, err := os.Stat(o.kernel); err != nil || !info.IsDir() {
		return fmt.Errorf("no kernel %q for -bed %s -arch %s: use one of %s, or a directory", o.kernel, o.bed, o.arch, kernelSeries(o.bed, o.arch))
	}
	var err error
	o.kernel, err = filepath.Abs(o.kernel)
	return err
}

func (o *options) cacheDir() error {
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no place for kernels and disks: set GUEST_CACHE, XDG_CACHE_HOME or HOME: %w", err)
		}
		o.cache = filepath.Join(dir, "trusted-store-guest")
	}
	var err error
	o.cache, err = filepath.Abs(o.cache)
	return err
}

// defaultTimeout leaves a Go test the time to report its own timeout first.
func defaultTimeout(args []string, interactive bool) time.Duration {
	if interactive {
		return 0
	}
	if d, err := time.ParseDuration(testFlag(args, "timeout")); err == nil && d > 0 {
		return d + time.Minute
	}
	return 20 * time.Minute
}

func usage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, `usage: go tool guest [flags] CMD [ARGS…]     run CMD in a guest with its own kernel
       go tool guest [flags] -i [CMD [ARGS…]]  the same on this terminal; a shell without CMD
       go tool guest setup [NAME…]             fetch kernels into the cache: all, or those named
       go test -exec 'go tool guest' ./…       run tests in a guest

Each flag can be set as GUEST_<FLAG> in the environment. Flags:
`)
	fs.PrintDefaults()
}

// byteSize is a number of bytes, written with an optional suffix K, M, G or T
// of powers of 1024.
type byteSize uint64

func (s *byteSize) String() string { return strconv.FormatUint(uint64(*s), 10) }

// Set parses a size for package flag.
func (s *byteSize) Set(v string) error {
	digits := strings.TrimRight(strings.TrimSuffix(v, "iB"), "KMGTkmgt")
	shift, known := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[strings.ToUpper(strings.TrimSuffix(v, "iB")[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !known || n == 0 || n > (1<<63-1)>>shift {
		return fmt.Errorf("%q is no size: write a positive number with an optional K, M, G or T", v)
	}
	*s = byteSize(n << shift)
	return nil
}

// pathList collects absolute paths.
type pathList []string

func (l *pathList) String() string { return strings.Join(*l, ":") }

// Set adds the paths of one flag, separated by colons.
func (l *pathList) Set(v string) error {
	for p := range strings.SplitSeq(v, ":") {
		abs, err := filepath.Abs(p)
		if err != nil {
			return err
		}
		*l = append(*l, abs)
	}
	return nil
}

// disk is one raw disk: a new sparse file of size bytes, or the file at path.
type disk struct {
	size byteSize
	path string
}

// diskList collects the disks of a guest.
type diskList []disk

func (l *diskList) String() string { return fmt.Sprint(len(*l)) }

// Set replaces the list by the disks of one flag, separated by commas.
func (l *diskList) Set(v string) error {
	*l = nil
	for part := range strings.SplitSeq(v, ",") {
		d := disk{}
		if strings.Contains(part, "/") {
			d.path = part
		} else if err := d.size.Set(part); err != nil {
			return err
		}
		*l = append(*l, d)
	}
	return nil
}

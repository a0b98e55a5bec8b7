// Command testruns runs the project's tests on the host and in guests with
// several kernels, two at a time, and sums up what ran. `make test` and `make
// kernels` call it; "go tool guest" makes the guests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	s := settings{}
	flag.StringVar(&s.gotool, "go", "go", "the go `command`")
	flag.StringVar(&s.guest, "guest", "go tool guest", "the `command` that runs a program in a guest")
	flag.StringVar(&s.disk, "disk", "56G", "`size` of each guest's raw disk")
	kernel := flag.String("kernel-tests", "", "`packages` with tests that need a kernel, separated by spaces")
	cpus := flag.String("cpus-tests", "", "`packages` with tests that need several CPUs, separated by spaces")
	table := flag.String("table", "", "`file` whose table is written anew")
	flag.Parse()
	s.kernelTests, s.cpusTests = strings.Fields(*kernel), strings.Fields(*cpus)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := testAll(ctx, s, flag.Args(), *table); err != nil {
		fmt.Fprintln(os.Stderr, "testruns:", err)
		stop()
		os.Exit(1)
	}
}

// settings are the same for all runs.
type settings struct {
	gotool, guest, disk    string
	volume                 string // file of a disk that guests hand on
	kernelTests, cpusTests []string
}

// choose picks the runs with these names; all without one.
func choose(runs []run, names []string) ([]run, error) {
	if len(names) == 0 {
		return runs, nil
	}
	var chosen []run
	for _, n := range names {
		i := slices.IndexFunc(runs, func(r run) bool { return r.name == n })
		if i < 0 {
			return nil, fmt.Errorf("no run %q in the plan", n)
		}
		chosen = append(chosen, runs[i])
	}
	return chosen, nil
}

// newVolume makes the file of a small disk.
func newVolume() (string, error) {
	f, err := os.CreateTemp("", "trusted-store-volume-*")
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(f.Truncate(64<<20), f.Close())
}

// errFailed says that the tests were run, and not all of them passed.
var errFailed = errors.New("tests failed")

// testAll carries out a plan and prints what came of it. The last line is in the
// form that machines read.
func testAll(ctx context.Context, s settings, args []string, table string) error {
	if len(args) == 0 || plans[args[0]] == nil {
		return fmt.Errorf("name a plan, test or kernels, and perhaps runs of it, not %q", args)
	}
	volume, err := newVolume()
	if err != nil {
		return err
	}
	defer os.Remove(volume)
	s.volume = volume
	runs, err := choose(plans[args[0]](s), args[1:])
	if err != nil {
		return err
	}
	results, err := execute(ctx, s, runs)
	if err != nil {
		return err
	}
	fmt.Print("\n", text(results), "\n")
	if table != "" {
		if err := rewrite(table, results); err != nil {
			return err
		}
	}
	sum := total(results)
	fmt.Println(sum)
	if sum.failed > 0 {
		return errFailed
	}
	return nil
}

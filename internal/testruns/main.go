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
	kernelTests, cpusTests []string
}

// errFailed says that the tests were run, and not all of them passed.
var errFailed = errors.New("tests failed")

// testAll carries out a plan and prints what came of it. The last line is in the
// form that machines read.
func testAll(ctx context.Context, s settings, args []string, table string) error {
	if len(args) != 1 || plans[args[0]] == nil {
		return fmt.Errorf("name one plan: test or kernels, not %q", args)
	}
	runs := plans[args[0]](s)
	results, err := execute(ctx, s, runs)
	if err != nil {
		return err
	}
	fmt.Print("\n", text(results), "\n")
	if table != "" {
		if err := rewrite(table, markdown(results)); err != nil {
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

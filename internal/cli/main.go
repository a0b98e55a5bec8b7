package cli

import (
	"context"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Main runs a command of this process and returns its exit status. Signals that
// ask it to end cancel the context.
func Main(program string, run func(ctx context.Context, args []string, out, errOut io.Writer) int) int {
	if err := keepMemoryPrivate(); err != nil {
		return Report(os.Stderr, program, "start", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// keepMemoryPrivate switches core dumps off and keeps other processes of the
// same user out of this one's memory: keys pass through it.
func keepMemoryPrivate() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

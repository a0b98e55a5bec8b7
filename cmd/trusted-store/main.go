// Command trusted-store turns a raw block device from an untrusted host into an
// encrypted, authenticated, mounted filesystem. See trusted-store --help.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	if err := keepMemoryPrivate(); err != nil {
		return report(os.Stderr, "start", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	return run(ctx, args, os.Stdout, os.Stderr)
}

// keepMemoryPrivate switches core dumps off and keeps other processes of the
// same user out of this one's memory: keys pass through it.
func keepMemoryPrivate() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

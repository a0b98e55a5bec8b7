package main

import (
	"context"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// waitFlag parses --wait[=SIZE].
type waitFlag struct {
	set  bool
	size cli.Size // 0: the full size
}

const (
	waitFull = "full"
	// waitSize is what --wait alone stands for: the help shows it, as --wait[=SIZE].
	waitSize = "SIZE"
)

func (f *waitFlag) add(flags *pflag.FlagSet) {
	flags.Var(f, "wait", "wait until the filesystem has SIZE, as in --wait=8GiB, or all of the device")
	flags.Lookup("wait").NoOptDefVal = waitSize
}

// needsDevice is the argument check of verbs with --wait, whose size is not a word of
// its own.
func needsDevice(c *cobra.Command, args []string) error {
	if len(args) == 2 && c.Flags().Changed("wait") {
		var size cli.Size
		if size.Set(args[1]) == nil {
			return cli.UsageErrorf(c, "--wait takes its size after a =, as in --wait=%s", args[1])
		}
	}
	return cli.Needs("DEVICE")(c, args)
}

// Type is empty: the help shows what NoOptDefVal is.
func (f *waitFlag) Type() string { return "" }
func (f *waitFlag) String() string {
	switch {
	case !f.set:
		return ""
	case f.size == 0:
		return waitFull
	}
	return f.size.String()
}

func (f *waitFlag) Set(text string) error {
	f.set = true
	if text == waitFull || text == waitSize {
		return nil
	}
	return f.size.Set(text)
}

// growAndPrint lets a store that was just made usable grow, in this process as far
// as --wait asks for and the rest in one of its own, and prints its status.
func (a *app) growAndPrint(ctx context.Context, store *storage.Store, common storeFlags) error {
	wait := common.wait
	if wait.set && store.MountPoint() != "" {
		opts := storage.GrowOptions{Size: uint64(wait.size), Follow: true}
		if err := a.growNow(ctx, store.Name(), opts); err != nil {
			return err
		}
	}
	s, err := store.Status(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	switch {
	case s.Growth == nil:
	case s.Growth.Full(): // which leaves the last thing that a grower does
		if err := storage.Grow(ctx, store.Name(), storage.GrowOptions{Logger: a.logger()}); err != nil {
			a.logger().Warn("the store is usable, but not as fast as it could be", "err", err)
		}
	default:
		// Its lock, by which Status knows it, may take it a moment.
		if s.Growth.Grower, err = growDetached(store, bool(common.asUsed) || s.TagMemory != nil); err != nil {
			a.logger().Warn("the store is usable, but does not grow; start trusted-store grow "+store.Name(), "err", err)
		}
	}
	return a.printStatus(s)
}

// growDetached starts this program again as "grow NAME", in a session of its own
// and with nothing of this process open, so that it outlives this one, its
// terminal, and whoever reads its output. It returns the number of the process.
func growDetached(store *storage.Store, asUsed bool) (pid int, err error) {
	// The child must not keep what was handed to this process, such as the
	// other end of a pipe or the descriptor of a key.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		if err := closeOnExec(); err != nil {
			return 0, err
		}
	}
	c := exec.Command("/proc/self/exe")
	c.Args = []string{"trusted-store", "grow", store.Name(), "--as-used=" + strconv.FormatBool(asUsed)}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = store.StartGrower(func(env []string) error {
		c.Env = env
		return c.Start()
	})
	if err != nil {
		return 0, err
	}
	pid = c.Process.Pid
	return pid, c.Process.Release()
}

// closeOnExec marks all descriptors but the standard ones, for kernels before
// 5.11.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

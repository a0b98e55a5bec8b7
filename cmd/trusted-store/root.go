package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

const long = `trusted-store turns a raw block device from an untrusted host into an
encrypted, authenticated, mounted ext4: LUKS2 aes-xts-plain64 over dm-integrity.

The host can neither read the contents nor change them unnoticed. It can see
which blocks are used, and put an old state of the device back.

Exit status: 0 done; 1 failed; 2 bad arguments or key source, not root, no such device;
3 header or superblock rejected; 4 wrong key; 5 integrity errors; 6 device busy
or name taken; 7 device not blank, too small, read-only or of a wrong size;
8 the kernel lacks a feature, or memory; 130 interrupted.`

// app is what every verb shares.
type app struct {
	out, err io.Writer
	json     bool
	verbose  bool
	quiet    bool
}

// run runs one command line and returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	chosen, err := root.ExecuteContextC(ctx)
	return report(errOut, verbOf(chosen), err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "trusted-store", Short: "Encrypted, authenticated storage on an untrusted block device", Long: long,
		Version: version(), SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: subcommandNeeded,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(err, c) })
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print the result as JSON")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log each step with its time")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no warnings")
	root.AddCommand(a.create(), a.open(), a.close(), a.grow(), a.status(), a.inspect(), a.keys(), a.volume())
	return root
}

func subcommandNeeded(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	err := &usageError{err: fmt.Errorf("unknown command %q", args[0]), hint: "see " + c.CommandPath() + " --help"}
	c.SuggestionsMinimumDistance = 2
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		err.hint = "did you mean " + c.CommandPath() + " " + strings.Join(like, " or ") + "?"
	}
	return err
}

// verbOf returns "create" or "volume attach".
func verbOf(c *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), c.Root().Name()))
}

// logger writes what storage has to say to standard error, in the form of the
// command's own messages.
func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelError
	}
	return slog.New(&logHandler{w: a.err, level: level})
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

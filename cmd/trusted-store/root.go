package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
)

const long = `trusted-store turns a raw block device from an untrusted host into an
encrypted, authenticated, mounted ext4: LUKS2 aes-xts-plain64 over dm-integrity.

The host can neither read the contents nor change them unnoticed. It can see
which blocks are used, and put an old state of the device back.`

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
	return cli.Run(ctx, a.root(), args, errOut)
}

func (a *app) root() *cobra.Command {
	root := cli.Root("trusted-store", "Encrypted, authenticated storage on an untrusted block device", long, a.out, a.err)
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print the result as JSON")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log each step with its time")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no warnings")
	cli.AddGroup(root, "A store, from its device to its end", a.create(), a.open(), a.status(), a.grow(), a.resize(), a.verify(), a.close())
	cli.AddGroup(root, "What a device holds", a.inspect(), a.keys(), a.authenticate(), a.recoverHeader())
	cli.AddGroup(root, "What this machine can do", a.doctor())
	cli.AddGroup(root, "Scratch stores at boot", a.units(), a.boot())
	cli.AddGroup(root, "On the host", a.volume())
	return root
}

// logger writes what storage has to say to standard error, in the form of the
// command's own messages.
func (a *app) logger() *slog.Logger { return cli.Logger(a.err, cli.Level(a.verbose, a.quiet)) }

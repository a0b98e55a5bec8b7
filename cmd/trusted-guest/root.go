package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
)

const long = `trusted-guest serves the agent of a confidential guest: it makes block devices of an
untrusted host encrypted, authenticated, mounted filesystems.`

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
	root := cli.Root("trusted-guest", "Trusted storage for the agent of a confidential guest", long, a.out, a.err)
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print results as JSON, and logs as JSON lines")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log each step")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no warnings")
	cli.AddGroup(root, "For the guest's agent", a.serve())
	cli.AddGroup(root, "By hand", a.pull(), a.image())
	return root
}

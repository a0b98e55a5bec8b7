// Command trusted-store turns a raw block device from an untrusted host into an
// encrypted, authenticated, mounted filesystem. See trusted-store --help.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/trusted-store/trusted-store/internal/cli"
)

func main() {
	os.Exit(cli.Main("trusted-store", asNamed(os.Args[0])))
}

// generatorName is that of the link to this program in systemd's directory of
// generators, which are run with nothing but directories.
const generatorName = "trusted-store-generator"

// asNamed is what the program does under the name that it was started by.
func asNamed(name string) func(context.Context, []string, io.Writer, io.Writer) int {
	if filepath.Base(name) != generatorName {
		return run
	}
	return func(ctx context.Context, args []string, out, errOut io.Writer) int {
		return run(ctx, append([]string{"units"}, args...), out, errOut)
	}
}

// Command trusted-store turns a raw block device from an untrusted host into an
// encrypted, authenticated, mounted filesystem. See trusted-store --help.
package main

import (
	"os"

	"github.com/trusted-store/trusted-store/internal/cli"
)

func main() {
	os.Exit(cli.Main("trusted-store", run))
}

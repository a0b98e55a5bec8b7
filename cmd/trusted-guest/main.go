// Command trusted-guest is what runs inside a confidential guest beside its agent.
// See trusted-guest --help.
package main

import (
	"os"

	"github.com/trusted-store/trusted-store/internal/cli"
)

func main() {
	os.Exit(cli.Main("trusted-guest", run))
}

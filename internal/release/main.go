// Command release makes those parts of a release that no common tool makes: the
// licences of all that is linked into the commands, and the container image. `make
// install` and `make release` call it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// linked are the programs of a release, and the CPUs that they are built for.
var (
	linked        = []string{"./cmd/trusted-store", "./cmd/trusted-guest"}
	architectures = []string{"amd64", "arm64", "ppc64le", "s390x"}
)

func main() {
	licences := flag.String("licences", "", "write the licences to `FILE`")
	image := flag.String("image", "", "write an OCI image to the tar `FILE`, of the ARCH=DIR that follow: the contents for each CPU")
	version := flag.String("version", "", "`VERSION` of the image")
	date := flag.Int64("date", 0, "date of the image, in `SECONDS` since 1970")
	flag.Parse()
	if err := run(*licences, *image, *version, time.Unix(*date, 0).UTC(), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(licences, image, version string, date time.Time, contents []string) error {
	if licences != "" {
		text, err := licencesOf(linked, architectures)
		if err != nil {
			return err
		}
		return os.WriteFile(licences, []byte(text), 0o644)
	}
	if image == "" {
		return fmt.Errorf("-licences or -image is needed")
	}
	var roots []root
	for _, c := range contents {
		arch, dir, ok := strings.Cut(c, "=")
		if !ok {
			return fmt.Errorf("%q is not ARCH=DIR", c)
		}
		roots = append(roots, root{arch, dir})
	}
	return writeImage(image, version, date, roots)
}

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// setHowTo gives scripts the blocks of docs/guest-pull.md that are to be run, in
// variables.
func setHowTo(e *testscript.Env) error {
	page, err := os.ReadFile("../../docs/guest-pull.md")
	if err != nil {
		return err
	}
	for variable, name := range map[string]string{
		"HOWTO_NODE": "node", "HOWTO_GUEST": "guest", "HOWTO_GUEST_END": "guest, at the end", "HOWTO_NODE_END": "node, at the end",
	} {
		_, rest, found := strings.Cut(string(page), "<!-- run: "+name+" -->\n```bash\n")
		block, _, ended := strings.Cut(rest, "```")
		if !found || !ended {
			return fmt.Errorf("docs/guest-pull.md has no block to run on %s", name)
		}
		e.Setenv(variable, block)
	}
	return nil
}

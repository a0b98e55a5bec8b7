package reference

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// Install writes manual pages, one for each verb, and completion for bash, zsh and
// fish to where they are below a prefix's share directory. Pages carry the date.
func Install(root *cobra.Command, share string, date time.Time) error {
	prepare(root)
	man := filepath.Join(share, "man", "man"+section)
	bash := filepath.Join(share, "bash-completion", "completions")
	zsh := filepath.Join(share, "zsh", "site-functions")
	fish := filepath.Join(share, "fish", "vendor_completions.d")
	for _, dir := range []string{man, bash, zsh, fish} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, c := range verbs(root) {
		name := filepath.Join(man, pageName(c)+"."+section)
		if err := os.WriteFile(name, []byte(manualPage(c, date)), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(bash, root.Name()), true),
		root.GenZshCompletionFile(filepath.Join(zsh, "_"+root.Name())),
		root.GenFishCompletionFile(filepath.Join(fish, root.Name()+".fish"), true))
}

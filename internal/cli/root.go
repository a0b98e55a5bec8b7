package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// ExitHelp is the part of a command's help that tells its exit statuses.
const ExitHelp = `Exit status: 0 done; 1 failed, or no such store; 2 bad arguments or key source,
not root, no such device; 3 header or superblock rejected; 4 wrong key;
5 integrity errors; 6 device busy or name taken; 7 device not blank, too small,
read-only or of a wrong size; 8 the kernel lacks a feature, or memory;
130 interrupted.`

// Root returns the command of that name, to which verbs are added in the order of
// use.
func Root(name, short, long string, out, errOut io.Writer) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use: name, Short: short, Long: long,
		Version: thisBuild().String(), SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: SubcommandNeeded,
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetUsageFunc(writeUsage)
	root.SetHelpFunc(writeHelp)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return UsageError(err, c) })
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().BoolP("help", "h", false, "print this help")
	root.SetHelpCommand(helpCommand(name))
	root.AddCommand(completionCommand(name))
	return root
}

// AddGroup adds verbs that are listed together, under a title.
func AddGroup(root *cobra.Command, title string, verbs ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, v := range verbs {
		v.GroupID = title
	}
	root.AddCommand(verbs...)
}

// Run runs one command line and returns the exit status.
func Run(ctx context.Context, root *cobra.Command, args []string, errOut io.Writer) int {
	root.SetArgs(args)
	chosen, err := root.ExecuteContextC(ctx)
	return Report(errOut, root.Name(), verbOf(chosen), err)
}

// verbOf returns "create" or "volume attach".
func verbOf(c *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), c.Root().Name()))
}

// SubcommandNeeded is what a command does that only holds others.
func SubcommandNeeded(c *cobra.Command, args []string) error {
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

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand is "help VERB", for whoever types that instead of "VERB --help".
func helpCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show the help of a command",
		Example: "  " + program + " help completion",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return UsageErrorf(c.Root(), "there is no command %q", strings.Join(args, " "))
			}
			return found.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			found, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range found.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// completionCommand prints what a shell needs to complete command lines.
func completionCommand(program string) *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash":       func(c *cobra.Command) error { return c.Root().GenBashCompletionV2(c.OutOrStdout(), true) },
		"zsh":        func(c *cobra.Command) error { return c.Root().GenZshCompletion(c.OutOrStdout()) },
		"fish":       func(c *cobra.Command) error { return c.Root().GenFishCompletion(c.OutOrStdout(), true) },
		"powershell": func(c *cobra.Command) error { return c.Root().GenPowerShellCompletionWithDesc(c.OutOrStdout()) },
	}
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what lets a shell complete commands, flags and names",
		Long: `Print a script that lets a shell complete commands, flags and names. SHELL is
` + strings.Join(names[:3], ", ") + ` or ` + names[3] + `.`,
		Example: fmt.Sprintf(`  source <(%[1]s completion bash)
  %[1]s completion bash >/etc/bash_completion.d/%[1]s
  %[1]s completion zsh >"${fpath[1]}/_%[1]s"
  %[1]s completion fish >~/.config/fish/completions/%[1]s.fish`, program),
		Args: Needs("SHELL"),
		RunE: func(c *cobra.Command, args []string) error {
			write, known := shells[args[0]]
			if !known {
				return UsageErrorf(c, "unknown shell %q: %s are known", args[0], strings.Join(names, ", "))
			}
			return write(c)
		},
		ValidArgsFunction: cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp),
	}
}

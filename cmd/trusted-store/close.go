package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) close() *cobra.Command {
	return &cobra.Command{
		Use:   "close NAME|DIR",
		Short: "Unmount, remove the mappings and forget the key",
		Long: `Unmount the store, remove its mappings and with them the key in the kernel.
Closing what is closed already is no error. Also closes what cryptsetup opened,
and what a killed process left.`,
		Example: "  trusted-store close " + storage.DefaultMountPoint,
		Args:    cli.Needs("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			err := storage.Close(c.Context(), args[0])
			closed := err == nil
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"name": args[0], "closed": closed})
			}
			if closed {
				fmt.Fprintln(a.out, args[0], "is closed")
			} else {
				fmt.Fprintln(a.out, args[0], "was not open")
			}
			return nil
		},
		ValidArgsFunction: completeStores,
	}
}

// completeStores offers the names of what is live; the shell adds directories.
func completeStores(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := storage.List(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names, cobra.ShellCompDirectiveDefault
}

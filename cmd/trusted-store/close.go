package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) close() *cobra.Command {
	ifOpen := false
	c := &cobra.Command{
		Use:   "close NAME|DIR",
		Short: "Unmount, remove the mappings and forget the key",
		Long: `Unmount the store, remove its mappings and with them the key in the kernel. What is
in swap comes back to memory before.
Also closes what cryptsetup opened, and what a killed process left.

When there is no such store, or nothing is mounted at DIR, the exit status is 1, and
what is open is listed: it may be the store, unmounted by hand, and is closed by its
name. With --if-open a script may close what is closed already; at a DIR that is an
error while any store is open and not mounted.`,
		Example: "  trusted-store close " + storage.DefaultMountPoint + "\n  trusted-store close scratch --if-open",
		Args:    cli.Needs("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			err := storage.Close(c.Context(), args[0])
			closed := err == nil
			if err != nil && !(ifOpen && surelyClosed(c.Context(), args[0], err)) {
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
	c.Flags().BoolVar(&ifOpen, "if-open", false, "do nothing, with status 0, when it is not open")
	return c
}

// surelyClosed reports whether err says that no such store is open. A directory at
// which nothing is mounted may be that of a store that was unmounted by hand.
func surelyClosed(ctx context.Context, nameOrDir string, err error) bool {
	if !errors.Is(err, storage.ErrNotFound) {
		return false
	}
	if !strings.Contains(nameOrDir, "/") || strings.HasPrefix(nameOrDir, "/dev/mapper/") {
		return true
	}
	list, err := storage.List(ctx)
	return err == nil && !slices.ContainsFunc(list, func(s storage.Status) bool {
		return s.State != storage.StateMounted && s.State != storage.StateSwap
	})
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

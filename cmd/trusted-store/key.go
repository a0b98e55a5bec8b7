package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) keys() *cobra.Command {
	c := &cobra.Command{
		Use: "key", Short: "Add, change, remove and list the keys of a persistent volume",
		RunE: cli.SubcommandNeeded,
	}
	c.AddCommand(a.keyList(), a.keyAdd(), a.keyChange(), a.keyRemove())
	return c
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use:     "list DEVICE",
		Short:   "Show the key slots",
		Example: "  trusted-store key list /dev/sdb",
		Args:    cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			slots, err := storage.Keys(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(slots)
			}
			if len(slots) == 0 {
				fmt.Fprintln(a.out, args[0], "has no key slots: it is ephemeral")
			}
			for _, s := range slots {
				fmt.Fprintln(a.out, s)
			}
			return nil
		},
	}
}

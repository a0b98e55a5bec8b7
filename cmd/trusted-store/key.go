package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) keys() *cobra.Command {
	c := &cobra.Command{
		Use: "key", Short: "Add, remove and list the keys of a persistent volume",
		RunE: cli.SubcommandNeeded,
	}
	c.AddCommand(a.keyList(), a.keyAdd(), a.keyRemove())
	return c
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use:     "list DEVICE",
		Short:   "Show the key slots",
		Example: "  trusted-store key list /dev/sdb",
		Args:    cli.Needs("DEVICE"),
		RunE: func(_ *cobra.Command, args []string) error {
			slots, err := storage.Keys(args[0])
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

func (a *app) keyAdd() *cobra.Command {
	var present, added string
	c := &cobra.Command{
		Use:   "add DEVICE",
		Short: "Add a key; each key opens the volume by itself",
		Long: `Add a key to the volume on DEVICE, which may be open meanwhile. --key is one that
opens it already. The two may not both come from standard input.`,
		Example: `  trusted-store key add /dev/sdb --key file:/run/old --new-key file:/run/new
  get-key | trusted-store key add /dev/sdb --key file:/run/old --new-key -`,
		Args: cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			if present == "" || added == "" {
				return cli.UsageErrorf(c, "--key and --new-key are both needed")
			}
			if present == "-" && added == "-" {
				return cli.UsageErrorf(c, "--key and --new-key cannot both be standard input")
			}
			key, err := a.key(c.Context(), present)
			if err != nil {
				return err
			}
			defer key.Wipe()
			newKey, err := a.key(c.Context(), added)
			if err != nil {
				return err
			}
			defer newKey.Wipe()
			slot, err := storage.AddKey(args[0], key, newKey)
			if err != nil {
				return err
			}
			return a.printSlot(args[0], slot, "added")
		},
	}
	c.Flags().StringVar(&present, "key", "", "a key that opens the volume: file:PATH, fd:N or - (standard input)")
	c.Flags().StringVar(&added, "new-key", "", "the key to add, as --key")
	return c
}

func (a *app) keyRemove() *cobra.Command {
	var present string
	c := &cobra.Command{
		Use:   "remove DEVICE SLOT",
		Short: "Remove a key slot; --key must open another one",
		Long: `Remove a key slot of the volume on DEVICE. --key must open another slot, so that the
volume can still be opened afterwards. The host may have kept the old header: a
key that leaked is undone by a new volume only.`,
		Example: "  trusted-store key remove /dev/sdb 0 --key file:/run/new",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return cli.UsageErrorf(c, "DEVICE and SLOT are expected")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			slot, err := strconv.Atoi(args[1])
			if err != nil {
				return cli.UsageErrorf(c, "slot %q is not a number; see key list", args[1])
			}
			if present == "" {
				return cli.UsageErrorf(c, "--key is missing: a key that stays")
			}
			key, err := a.key(c.Context(), present)
			if err != nil {
				return err
			}
			defer key.Wipe()
			if err := storage.RemoveKey(args[0], slot, key); err != nil {
				return err
			}
			return a.printSlot(args[0], slot, "removed")
		},
	}
	c.Flags().StringVar(&present, "key", "", "a key that stays: file:PATH, fd:N or - (standard input)")
	return c
}

func (a *app) printSlot(device string, slot int, done string) error {
	if a.json {
		return a.printJSON(map[string]any{"device": device, "slot": slot, done: true})
	}
	fmt.Fprintf(a.out, "%s: key slot %d is %s\n", device, slot, done)
	return nil
}

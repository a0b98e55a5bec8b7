package main

import (
	"context"
	"encoding/hex"
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

// keyChange is what key add and key remove share.
type keyChange struct {
	pins    pinFlags
	present string
}

func (k *keyChange) add(c *cobra.Command, what string) {
	c.Flags().StringVar(&k.present, "key", "", what+", from this `SOURCE`: file:PATH, fd:N or - (standard input)")
	k.pins.add(c)
}

func (k *keyChange) options(c *cobra.Command) (o storage.KeyOptions, err error) {
	o.ExpectUUID, o.ExpectHeader, err = k.pins.parse(c)
	return o, err
}

// pinned ends the help of both.
const pinned = `

A host can put an old header back, and with it a key that was removed since. With
--expect-header no header is changed but the one of which you kept the fingerprint;
the one to keep from then on is printed.`

func (a *app) keyAdd() *cobra.Command {
	var change keyChange
	var added string
	c := &cobra.Command{
		Use:   "add DEVICE",
		Short: "Add a key; each key opens the volume by itself",
		Long: `Add a key to the volume on DEVICE, which may be open meanwhile. --key is one that
opens it already. The two may not both come from standard input.

` + keyKinds + pinned,
		Example: `  trusted-store key add /dev/sdb --key file:/run/old --new-key file:/run/new
  get-key | trusted-store key add /dev/sdb --key file:/run/old --new-key -
  trusted-store key add 8:16 --key fd:3 --new-key fd:4 --expect-header "$sum"`,
		Args: cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			if change.present == "" || added == "" {
				return cli.UsageErrorf(c, "--key and --new-key are both needed")
			}
			if change.present == "-" && added == "-" {
				return cli.UsageErrorf(c, "--key and --new-key cannot both be standard input")
			}
			opts, err := change.options(c)
			if err != nil {
				return err
			}
			return a.addKey(c.Context(), args[0], change.present, added, opts)
		},
	}
	change.add(c, "a key that opens the volume")
	c.Flags().StringVar(&added, "new-key", "", "the key to add, from a `SOURCE` like that of --key")
	return c
}

func (a *app) addKey(ctx context.Context, device, present, added string, opts storage.KeyOptions) error {
	key, err := a.key(ctx, present)
	if err != nil {
		return err
	}
	defer key.Wipe()
	newKey, err := a.key(ctx, added)
	if err != nil {
		return err
	}
	defer newKey.Wipe()
	done, err := storage.AddKey(ctx, device, key, newKey, opts)
	if err != nil {
		return err
	}
	return a.printKeyChange(device, done, "added")
}

func (a *app) keyRemove() *cobra.Command {
	var change keyChange
	c := &cobra.Command{
		Use:   "remove DEVICE SLOT",
		Short: "Remove a key slot; --key must open another one",
		Long: `Remove a key slot of the volume on DEVICE. --key must open another slot, so that the
volume can still be opened afterwards. The host may have kept the old header: a
key that leaked is undone by a new volume only, or where every open has
--expect-header.` + pinned,
		Example: `  trusted-store key remove /dev/sdb 0 --key file:/run/new
  trusted-store key remove /dev/sdb 0 --key fd:3 --expect-header "$sum"`,
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
			if change.present == "" {
				return cli.UsageErrorf(c, "--key is missing: a key that stays")
			}
			opts, err := change.options(c)
			if err != nil {
				return err
			}
			return a.removeKey(c.Context(), args[0], slot, change.present, opts)
		},
	}
	change.add(c, "a key that stays")
	return c
}

func (a *app) removeKey(ctx context.Context, device string, slot int, present string, opts storage.KeyOptions) error {
	key, err := a.key(ctx, present)
	if err != nil {
		return err
	}
	defer key.Wipe()
	done, err := storage.RemoveKey(ctx, device, slot, key, opts)
	if err != nil {
		return err
	}
	return a.printKeyChange(device, done, "removed")
}

func (a *app) printKeyChange(device string, k storage.KeyChange, done string) error {
	fingerprint := hex.EncodeToString(k.Header[:])
	if a.json {
		return a.printJSON(map[string]any{"device": device, "slot": k.Slot, done: true, "fingerprint": fingerprint})
	}
	fmt.Fprintf(a.out, "%s: key slot %d is %s\nfingerprint  %s\n", device, k.Slot, done, fingerprint)
	return nil
}

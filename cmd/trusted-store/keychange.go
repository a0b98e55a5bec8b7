package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// keyFlags are what all verbs share that change keys.
type keyFlags struct {
	pins          pinFlags
	present, next string
}

func (k *keyFlags) add(c *cobra.Command, what string) {
	c.Flags().StringVar(&k.present, "key", "", what+", from this `SOURCE`: file:PATH, fd:N or - (standard input)")
	k.pins.add(c)
}

func (k *keyFlags) addNext(c *cobra.Command, what string) {
	c.Flags().StringVar(&k.next, "new-key", "", what+", from a `SOURCE` like that of --key")
}

// checkBoth refuses a command line without two keys.
func (k *keyFlags) checkBoth(c *cobra.Command) error {
	if k.present == "" || k.next == "" {
		return cli.UsageErrorf(c, "--key and --new-key are both needed")
	}
	if k.present == "-" && k.next == "-" {
		return cli.UsageErrorf(c, "--key and --new-key cannot both be standard input")
	}
	return nil
}

// pinned ends the help of all of them.
const pinned = `

A host can put an old header back, and with it a key that was removed since. With
--expect-epoch, or --expect-header, no header is changed but the one of which you kept
the epoch or the fingerprint; those to keep from then on are printed.`

func (a *app) keyAdd() *cobra.Command {
	return a.withTwoKeys(&cobra.Command{
		Use:   "add DEVICE",
		Short: "Add a key; each key opens the volume by itself",
		Long: `Add a key to the volume on DEVICE, which may be open meanwhile. --key is one that
opens it already. The two may not both come from standard input.

` + keyKinds + pinned,
		Example: `  trusted-store key add /dev/sdb --key file:/run/old --new-key file:/run/new
  get-key | trusted-store key add /dev/sdb --key file:/run/old --new-key -
  trusted-store key add 8:16 --key fd:3 --new-key fd:4 --expect-header "$sum"`,
	}, "a key that opens the volume", "the key to add", "added", storage.AddKey)
}

func (a *app) keyChange() *cobra.Command {
	return a.withTwoKeys(&cobra.Command{
		Use:   "change DEVICE",
		Short: "Exchange a key for another, in one step",
		Long: `Exchange the key --key of the volume on DEVICE, which may be open meanwhile, for
--new-key. The new key is on the device before the old one goes, so it takes a free
key slot; cut off at any moment, the volume has one of the two. The place of the old
one is overwritten.

The host may have kept the old header: a key that leaked is undone by a new volume
only, or where every open has --expect-epoch.

` + keyKinds + pinned,
		Example: `  trusted-store key change /dev/sdb --key file:/run/old --new-key file:/run/new
  get-key | trusted-store key change /dev/sdb --key file:/run/old --new-key -`,
	}, "the key to exchange", "the key to have instead", "changed", storage.ChangeKey)
}

// twoKeys is AddKey or ChangeKey.
type twoKeys func(ctx context.Context, device string, key, next *storage.Key, opts storage.KeyOptions) (storage.KeyChange, error)

func (a *app) withTwoKeys(c *cobra.Command, present, next, done string, change twoKeys) *cobra.Command {
	var flags keyFlags
	c.Args = cli.Needs("DEVICE")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := flags.checkBoth(c); err != nil {
			return err
		}
		opts, err := flags.pins.parse(c)
		if err != nil {
			return err
		}
		key, err := a.key(c.Context(), flags.present)
		if err != nil {
			return err
		}
		defer key.Wipe()
		newKey, err := a.key(c.Context(), flags.next)
		if err != nil {
			return err
		}
		defer newKey.Wipe()
		changed, err := change(c.Context(), args[0], key, newKey, opts)
		if err != nil {
			return err
		}
		return a.printKeyChange(args[0], changed, done)
	}
	flags.add(c, present)
	flags.addNext(c, next)
	return c
}

func (a *app) keyRemove() *cobra.Command {
	var (
		flags keyFlags
		force bool
	)
	c := &cobra.Command{
		Use:   "remove DEVICE SLOT",
		Short: "Remove a key slot; --key must open another one",
		Long: `Remove a key slot of the volume on DEVICE, and overwrite it. --key must open another
slot, so that the volume can still be opened afterwards. The only slot is removed
with --force alone: nobody can open the volume again then. The host may have kept the
old header: a key that leaked is undone by a new volume only, or where every open
has --expect-epoch.` + pinned,
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
			if flags.present == "" {
				return cli.UsageErrorf(c, "--key is missing: a key that stays")
			}
			opts, err := flags.pins.parse(c)
			if err != nil {
				return err
			}
			opts.RemoveLast = force
			return a.removeKey(c.Context(), args[0], slot, flags.present, opts)
		},
	}
	flags.add(c, "a key that stays")
	c.Flags().BoolVar(&force, "force", false, "remove the only key slot, too: all that is on the volume is lost")
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
	if a.json {
		out := headerJSON(device, k.Header, storage.HeaderState{Volume: k.Volume, Epoch: k.Epoch})
		out["slot"], out[done] = k.Slot, true
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: key slot %d is %s\n", device, k.Slot, done)
	a.printHeader(nil, k.Header, storage.HeaderState{Volume: k.Volume, Epoch: k.Epoch})
	return nil
}

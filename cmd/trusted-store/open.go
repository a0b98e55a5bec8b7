package main

import (
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) open() *cobra.Command {
	var (
		common    storeFlags
		pins      pinFlags
		maxMemory uint64
	)
	c := &cobra.Command{
		Use:   "open DEVICE",
		Short: "Open a volume with its key and mount it; never formats",
		Long: `Open the volume on DEVICE (a path or MAJ:MIN) with its key, and mount it.
Nothing is written before the key is proven right, and nothing is ever formatted:
a device without a header that we accept is an error. A device that became larger
is taken whole, and the filesystem grows to it; one that shrank is refused.

The header of a volume with a key is authenticated: what the host changed of it, or
another program, is an error. An old header as a whole is noticed with --expect-epoch,
and that somebody took the token away with --require-authenticated.`,
		Example: `  trusted-store open /dev/trusted_store --key file:/run/keys/volume
  get-key | trusted-store open 8:16 --key -
  trusted-store open /dev/sdb --cipher aegis128 --key file:/run/keys/volume
  trusted-store open /dev/sdb --key fd:3 --expect-volume "$sum" --expect-epoch 4`,
		Args: needsDevice,
		RunE: func(c *cobra.Command, args []string) error {
			opts := storage.OpenOptions{
				Name: common.name, MountPoint: common.mount, Integrity: common.integrity, Cipher: common.cipher,
				MaxArgon2Memory: maxMemory << 20,
				Grow:            storage.GrowLater,
			}
			if err := common.check(c); err != nil {
				return err
			}
			pinned, err := pins.parse(c)
			if err != nil {
				return err
			}
			opts.ExpectUUID, opts.ExpectHeader, opts.ExpectVolume = pinned.ExpectUUID, pinned.ExpectHeader, pinned.ExpectVolume
			opts.RequireAuthenticated, opts.ExpectEpoch = pinned.RequireAuthenticated, pinned.ExpectEpoch
			if common.key == "" {
				return cli.UsageErrorf(c, "--key is missing: an existing volume needs its key")
			}
			key, err := a.key(c.Context(), common.key)
			if err != nil {
				return err
			}
			defer key.Wipe()
			progress := a.progress()
			opts.Logger, opts.Progress = a.logger(), progress.report
			store, err := storage.Open(c.Context(), args[0], key, opts)
			progress.end()
			if err != nil {
				return err
			}
			return a.growAndPrint(c.Context(), store, common)
		},
	}
	common.add(c)
	pins.add(c)
	addMaxMemory(c, &maxMemory)
	return c
}

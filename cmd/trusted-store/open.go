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
is taken whole, and the filesystem grows to it; one that shrank is refused.`,
		Example: `  trusted-store open /dev/trusted_store --key file:/run/keys/volume
  get-key | trusted-store open 8:16 --key -`,
		Args: needsDevice,
		RunE: func(c *cobra.Command, args []string) error {
			opts := storage.OpenOptions{
				Name: common.name, MountPoint: common.mount, Integrity: common.integrity,
				MaxArgon2Memory: maxMemory << 20,
				Grow:            storage.GrowLater,
			}
			var err error
			if opts.ExpectUUID, opts.ExpectHeader, err = pins.parse(c); err != nil {
				return err
			}
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

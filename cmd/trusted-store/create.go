package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) create() *cobra.Command {
	var (
		opts   storage.CreateOptions
		force  bool
		common storeFlags
		tags   tagFlags
		swap   swapFlags
	)
	c := &cobra.Command{
		Use:   "create DEVICE",
		Short: "Make a new volume and mount it; what the device held is lost",
		Long: `Make a new volume on DEVICE (a path or MAJ:MIN), with a filesystem, and mount it.
What the device held is destroyed.

Without --key the store is ephemeral: its key is in this kernel's memory only,
and when it is closed or the machine stops, the contents are gone for good.
With --key it can be opened again.

` + keyKinds + `

It returns as soon as the store can be used. The filesystem is small at first and
grows to the whole device in the background; --wait waits for that.

With --tags memory the tags of all blocks are in this guest's memory instead of on
the device: then an old block that the host puts back cannot be read (freshness).
They take 32 bytes for each 4096 that the filesystem has, which grows as it fills.

With --swap there is no filesystem: the kernel swaps to the store, until it is closed.
Where the host changed a page, the kernel kills the process that needs it; an old page
that it puts back is not noticed.

With --cipher aegis128 reading and writing are several times as fast where the processor
is the limit. The key has 128 bits instead of 256, every write has a random nonce, so
that blocks written again with equal contents look different, and the kernel needs
CONFIG_CRYPTO_AEGIS128. open wants the same --cipher.`,
		Example: `  trusted-store create /dev/trusted_store
  trusted-store create /dev/trusted_store --tags memory --tag-memory 128MiB
  trusted-store create 8:16 --key file:/run/keys/volume --mount /var/lib/images
  trusted-store create /dev/trusted_store --wait=8GiB
  trusted-store create /dev/trusted_store --cipher aegis128
  trusted-store create /dev/vdc --swap --swap-priority 10 --name swap`,
		Args: needsDevice,
		PreRunE: func(c *cobra.Command, _ []string) error {
			opts.Name, opts.MountPoint, opts.Integrity = common.name, common.mount, common.integrity
			opts.Cipher = common.cipher
			return cli.UsageError(errors.Join(common.check(c), tags.apply(&opts), swap.apply(c, &opts)), c)
		},
		RunE: func(c *cobra.Command, args []string) error {
			opts.Grow = storage.GrowLater // beyond the life of this process: see growAndPrint
			if err := a.showTagBudget(args[0], opts); err != nil {
				return err
			}
			if force {
				opts.Overwrite = storage.OverwriteAnything
			}
			if common.key != "" {
				key, err := a.key(c.Context(), common.key)
				if err != nil {
					return err
				}
				defer key.Wipe()
				opts.Key = key
			}
			progress := a.progress()
			opts.Logger, opts.Progress = a.logger(), progress.report
			store, err := storage.Create(c.Context(), args[0], opts)
			progress.end()
			if err != nil {
				return err
			}
			return a.growAndPrint(c.Context(), store, common)
		},
	}
	common.add(c)
	tags.add(c)
	swap.add(c)
	flags := c.Flags()
	flags.BoolVar(&force, "force", false, "overwrite a device that holds a known signature")
	flags.Uint64Var(&opts.Filesystem.BytesPerInode, "bytes-per-inode", 0, "one inode for each `BYTES` of the filesystem (default 16384 up to 64 GiB, 65536 up to 1 TiB, then 1048576)")
	flags.IntVar(&opts.Filesystem.InodeSize, "inode-size", 0, "`BYTES` of an inode, 256 or 128 (default 256)")
	flags.StringVar(&opts.Filesystem.Label, "label", "", "`LABEL` of the filesystem, up to 16 bytes, or of the swap area, up to 15")
	return c
}

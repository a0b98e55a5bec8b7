package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) resize() *cobra.Command {
	var (
		source    string
		maxMemory uint64
	)
	c := &cobra.Command{
		Use:   "resize NAME|DIR",
		Short: "Let a live store take the space its device was given",
		Long: `Let a live, mounted store take the space that its device was given since it was
opened: the integrity layer, the encryption, and the filesystem, while it is in
use. It needs the volume's key, and returns when the filesystem has its full size.
open does the same for a store that is not live.

It does nothing when the device is not larger, and may be interrupted or killed at
any moment: the next resize or open goes on. A device that shrank is refused with
both sizes. An ephemeral store keeps its size.`,
		Example: `  losetup -c /dev/loop0        # or what else makes the device larger
  trusted-store resize ` + storage.DefaultMountPoint + ` --key file:/run/keys/volume`,
		Args: cli.Needs("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if source == "" {
				return cli.UsageErrorf(c, "--key is missing: the kernel must be given the volume's key once more")
			}
			key, err := a.key(c.Context(), source)
			if err != nil {
				return err
			}
			defer key.Wipe()
			progress := a.progress()
			err = storage.Resize(c.Context(), args[0], key, storage.ResizeOptions{
				MaxArgon2Memory: maxMemory << 20, Logger: a.logger(), Progress: progress.report,
			})
			progress.end()
			if err != nil {
				return err
			}
			s, err := storage.StatusOf(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"name": s.Name, "device_bytes": s.DeviceBytes, "sectors": s.Sectors, "growth": s.Growth})
			}
			fmt.Fprintf(a.out, "%s: the filesystem %s\n", s.Name, growth(s))
			return nil
		},
		ValidArgsFunction: completeStores,
	}
	addKey(c, &source)
	addMaxMemory(c, &maxMemory)
	return c
}

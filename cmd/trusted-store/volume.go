package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) volume() *cobra.Command {
	c := &cobra.Command{
		Use: "volume", Short: "Make a file for a volume, attach it, write manifests",
		RunE: cli.SubcommandNeeded,
	}
	c.AddCommand(a.volumeCreate(), a.volumeAttach(), a.volumeDetach(), a.volumeManifest())
	return c
}

func (a *app) volumeCreate() *cobra.Command {
	size := cli.Size(2500 << 20)
	c := &cobra.Command{
		Use:     "create FILE",
		Short:   "Make a sparse backing file",
		Example: "  trusted-store volume create /var/lib/trusted.img --size 2500MiB",
		Args:    cli.Needs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if size > storage.BlockSize {
				size -= size % storage.BlockSize
			}
			if err := storage.CreateBacking(args[0], int64(size)); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"file": args[0], "bytes": uint64(size)})
			}
			fmt.Fprintf(a.out, "%s has %s\n", args[0], &size)
			return nil
		},
	}
	c.Flags().Var(&size, "size", "size of the file, rounded down to blocks of 4096 bytes; 2500MiB are 2500·2^20 bytes, 2500MB 2500·10^6")
	return c
}

func (a *app) volumeAttach() *cobra.Command {
	return &cobra.Command{
		Use:     "attach FILE",
		Short:   "Attach the file to a free loop device, and print the device",
		Example: `  device=$(trusted-store volume attach /var/lib/trusted.img)`,
		Args:    cli.Needs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			device, err := storage.AttachBacking(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"file": args[0], "device": device})
			}
			fmt.Fprintln(a.out, device)
			return nil
		},
	}
}

func (a *app) volumeDetach() *cobra.Command {
	return &cobra.Command{
		Use:   "detach DEVICE|FILE",
		Short: "Detach the loop device; the file stays",
		Example: `  trusted-store volume detach /dev/loop0
  trusted-store volume detach /var/lib/trusted.img`,
		Args: cli.Needs("DEVICE or FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := storage.DetachBacking(args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"detached": args[0]})
			}
			fmt.Fprintln(a.out, args[0], "is detached")
			return nil
		},
	}
}

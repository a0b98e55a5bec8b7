package main

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/guestpull"
)

// image holds the verbs for what was pulled.
func (a *app) image() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "List, release and remove images that were pulled",
		Args:  cobra.ArbitraryArgs, RunE: cli.SubcommandNeeded,
	}
	c.AddCommand(a.imageList(), a.imageRelease(), a.imageRemove(), a.imagePrune())
	return c
}

func (a *app) imageList() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use: "list", Short: "List the images on the store", Args: cli.None,
		Example: "  trusted-guest image list",
		RunE: func(c *cobra.Command, _ []string) error {
			images, err := guestpull.New(store, guestpull.Options{}).List(c.Context())
			if err != nil {
				return err
			}
			return a.printImages(images)
		},
	}
	addStoreFlag(c, &store)
	return c
}

func (a *app) printImages(images []guestpull.Stored) error {
	if a.json {
		return a.encode(images)
	}
	for _, image := range images {
		var bytes int64
		for _, l := range image.Layers {
			bytes += l.Bytes
		}
		fmt.Fprintf(a.out, "%s  %s  %d layers, %s\n", image.Digest, strings.Join(image.Names, " "), len(image.Layers), humanize.IBytes(uint64(bytes)))
		a.printVerified(image.Verified)
		for _, b := range image.Bundles {
			fmt.Fprintf(a.out, "  in %s\n", b)
		}
	}
	return nil
}

func (a *app) imageRelease() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use: "release BUNDLE", Short: "Unmount a bundle's image; remove what was written there", Args: cli.Needs("BUNDLE"),
		Example: "  trusted-guest image release /run/kata-containers/app",
		RunE: func(c *cobra.Command, args []string) error {
			return guestpull.New(store, guestpull.Options{}).Release(c.Context(), args[0])
		},
	}
	addStoreFlag(c, &store)
	return c
}

func (a *app) imageRemove() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use: "remove IMAGE", Short: "Remove an image, with the layers that no other has", Args: cli.Needs("IMAGE"),
		Example: "  trusted-guest image remove registry.example/app:1",
		RunE: func(c *cobra.Command, args []string) error {
			return guestpull.New(store, guestpull.Options{}).Remove(c.Context(), args[0])
		},
	}
	addStoreFlag(c, &store)
	return c
}

func (a *app) imagePrune() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use: "prune", Short: "Remove what no mounted bundle uses", Args: cli.None,
		Long:    "Remove bundles that are not mounted, images that no bundle uses, and their layers.",
		Example: "  trusted-guest image prune",
		RunE: func(c *cobra.Command, _ []string) error {
			return guestpull.New(store, guestpull.Options{}).Prune(c.Context())
		},
	}
	addStoreFlag(c, &store)
	return c
}

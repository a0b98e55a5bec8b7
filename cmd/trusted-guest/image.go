package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
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
			return a.printImages(store, images)
		},
	}
	addStoreFlag(c, &store)
	return c
}

func (a *app) printImages(store string, images []guestpull.Stored) error {
	if a.json {
		return a.encode(images)
	}
	if len(images) == 0 {
		fmt.Fprintln(a.out, "no image is on the store", store)
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
			return a.release(c.Context(), guestpull.New(store, guestpull.Options{}), args[0])
		},
	}
	addStoreFlag(c, &store)
	return c
}

// release says whether there was anything: a name that was mistyped is seen.
func (a *app) release(ctx context.Context, images *guestpull.Images, bundle string) error {
	before, err := images.List(ctx)
	if err != nil {
		return err
	}
	if err := images.Release(ctx, bundle); err != nil {
		return err
	}
	if !slices.ContainsFunc(before, func(s guestpull.Stored) bool { return slices.Contains(s.Bundles, filepath.Clean(bundle)) }) {
		return a.say("%s: no image of this store is there", bundle)
	}
	return a.say("%s: the image is released", bundle)
}

// say prints what was done, for people.
func (a *app) say(format string, args ...any) error {
	if a.json {
		return nil
	}
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

func (a *app) imageRemove() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use: "remove IMAGE", Short: "Remove an image, with the layers that no other has", Args: cli.Needs("IMAGE"),
		Example: "  trusted-guest image remove registry.example/app:1",
		RunE: func(c *cobra.Command, args []string) error {
			if err := guestpull.New(store, guestpull.Options{}).Remove(c.Context(), args[0]); err != nil {
				return err
			}
			return a.say("%s is removed", args[0])
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
			return a.prune(c.Context(), guestpull.New(store, guestpull.Options{}))
		},
	}
	addStoreFlag(c, &store)
	return c
}

func (a *app) prune(ctx context.Context, images *guestpull.Images) error {
	before, err := images.List(ctx)
	if err != nil {
		return err
	}
	if err := images.Prune(ctx); err != nil {
		return err
	}
	after, err := images.List(ctx)
	if err != nil {
		return err
	}
	return a.say("%d images are removed, %d stay", len(before)-len(after), len(after))
}

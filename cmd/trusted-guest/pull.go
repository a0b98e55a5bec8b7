package main

import (
	"encoding/json"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

// The errors of guestpull that have an exit status of their own.
func init() {
	cli.ExitsWith(guestpull.ErrRejected, cli.ExitRejected)
	cli.ExitsWith(guestpull.ErrBlocked, cli.ExitRejected)
	cli.ExitsWith(guestpull.ErrUndecryptable, cli.ExitWrongKey)
	cli.ExitsWith(guestpull.ErrNoRoom, cli.ExitUnsuitable)
}

func (a *app) pull() *cobra.Command {
	var (
		store string
		flags registryFlags
		pull  guestpull.PullOptions
	)
	c := &cobra.Command{
		Use:   "pull IMAGE",
		Short: "Pull an image onto the store, and mount it in a bundle",
		Long: `Pull IMAGE from its registry onto the store, layer by layer, decompressed on the
way, and checked. With --bundle it is mounted at rootfs in that directory, with a
writable layer on the store.

Of several credentials those count that name the image most exactly: an entry for
registry.example/team before one for registry.example. No program is run because a
file names it: see --credential-helper. The environment's HTTPS_PROXY, HTTP_PROXY,
NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR count.

Layers that the store has are not pulled again. When the pull fails or is
interrupted, nothing of it is left on the store. Exit statuses of its own: 3 the
image is not what its digest says, holds what no image may hold, or is not allowed
by the configuration; 4 a layer is encrypted, and this guest has no key for it; 7 the
store has no room.`,
		Example: `  trusted-guest pull registry.example/app:1
  trusted-guest pull registry.example/app:1 --bundle /run/kata-containers/app
  trusted-guest pull registry.example/app:1 --auth kbs:///default/auth/app
  trusted-guest pull registry.example/app:1 --config /run/guest/cdh.toml`,
		Args: cli.Needs("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			bars := a.layerBars()
			pull.Progress = bars.report
			opts, err := flags.options(c, &store, cli.Logger(a.err, cli.Level(a.verbose, a.quiet)))
			if err != nil {
				return err
			}
			image, err := guestpull.New(store, opts).Pull(c.Context(), args[0], pull)
			bars.end()
			if err != nil {
				return err
			}
			return a.printPulled(image)
		},
	}
	addStoreFlag(c, &store)
	c.Flags().StringVar(&pull.Bundle, "bundle", "", "mount it at rootfs in `DIR`")
	c.Flags().StringVar(&flags.opts.Platform, "platform", "", "pull the image for this `PLATFORM`: OS/ARCH or OS/ARCH/VARIANT (default linux on this machine's CPU)")
	flags.add(c)
	c.Flags().StringVar(&flags.opts.KeyService, "upstream", securemount.DefaultSocket, "`PATH` of the socket where resources kbs://… are asked for")
	c.Flags().Uint64Var(&flags.opts.MaxBytes, "max-bytes", 0, "refuse an image that unpacks to more than so many `BYTES` (default what the store can hold)")
	return c
}

func addStoreFlag(c *cobra.Command, store *string) {
	c.Flags().StringVar(store, "store", storage.DefaultMountPoint, "`DIR` at which the store is mounted")
}

func (a *app) printPulled(image *guestpull.Image) error {
	if a.json {
		return a.encode(image)
	}
	var bytes int64
	pulled := 0
	for _, l := range image.Layers {
		bytes += l.Bytes
		if !l.Existing {
			pulled++
		}
	}
	fmt.Fprintf(a.out, "%s\n  digest:  %s\n  layers:  %d, of which %d were pulled\n  files:   %s\n",
		image.Name, image.Digest, len(image.Layers), pulled, humanize.IBytes(uint64(bytes)))
	a.printVerified(image.Verified)
	if image.RootFS != "" {
		fmt.Fprintf(a.out, "  mounted: %s\n", image.RootFS)
	}
	return nil
}

func (a *app) printVerified(all []guestpull.Verified) {
	for _, v := range all {
		fmt.Fprintf(a.out, "  policy:  %s, scope %s", v.Requirement, v.Scope)
		if v.Key != "" {
			fmt.Fprintf(a.out, ": key %s, %s", v.Key, v.Name)
		}
		fmt.Fprintln(a.out)
	}
}

func (a *app) encode(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

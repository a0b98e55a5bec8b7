package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

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
	cli.ExitsWith(guestpull.ErrNoRoom, cli.ExitUnsuitable)
}

func (a *app) pull() *cobra.Command {
	var (
		store string
		opts  guestpull.Options
		pull  guestpull.PullOptions
	)
	c := &cobra.Command{
		Use:   "pull IMAGE",
		Short: "Pull an image onto the store, and mount it in a bundle",
		Long: `Pull IMAGE from its registry onto the store, layer by layer, decompressed on the
way, and checked. With --bundle it is mounted at rootfs in that directory, with a
writable layer on the store.

Of the credentials the entry for the smallest part of the registry counts that the
image is in. No program is run because a file names it: see --credential-helper.

Layers that the store has are not pulled again. When it fails or is interrupted
nothing of it is left on the store. Statuses of its own: 3 something of the image
is not what its digest says, or what no image may hold; 7 no room on the store.`,
		Example: `  trusted-guest pull registry.example/app:1
  trusted-guest pull registry.example/app@sha256:… --bundle /run/kata-containers/app --auth config.json
  trusted-guest pull registry.example/team/app:1 --auth kbs:///default/credentials/registry`,
		Args: cli.Needs("IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			bars := a.layerBars()
			opts.Logger, pull.Progress = cli.Logger(a.err, slog.LevelWarn), bars.report
			image, err := guestpull.New(store, opts).Pull(c.Context(), args[0], pull)
			bars.end()
			if err != nil {
				return err
			}
			return a.printPulled(image)
		},
	}
	flags := c.Flags()
	addStoreFlag(c, &store)
	flags.StringVar(&pull.Bundle, "bundle", "", "mount it at rootfs in `DIR`")
	flags.StringVar(&opts.Platform, "platform", "", "`OS/ARCH[/VARIANT]` (default linux on this machine's CPU)")
	addRegistryFlags(c, &opts)
	flags.StringVar(&opts.KeyService, "upstream", securemount.DefaultSocket, "`PATH` of the socket where credentials kbs://… are asked for")
	flags.Uint64Var(&opts.MaxBytes, "max-bytes", 0, "refuse an image that unpacks to more `BYTES` (default what the store can hold)")
	return c
}

// addRegistryFlags are those of verbs that speak to a registry.
func addRegistryFlags(c *cobra.Command, opts *guestpull.Options) {
	flags := c.Flags()
	flags.StringVar(&opts.AuthFile, "auth", "", "docker config or containers' auth.json `FILE` with credentials, or a resource kbs:///… of the guest's key service")
	flags.StringArrayVar(&opts.CredentialHelpers, "credential-helper", nil, "run docker-credential-`NAME` where that file names it; may be given more than once")
	flags.BoolVar(&opts.PlainHTTP, "plain-http", false, "speak http without TLS, also to a registry that is not on this machine")
	flags.DurationVar(&opts.IdleTimeout, "idle-timeout", 0, "give up when the registry is silent for so long (default 30s)")
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
	if image.RootFS != "" {
		fmt.Fprintf(a.out, "  mounted: %s\n", image.RootFS)
	}
	return nil
}

func (a *app) encode(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

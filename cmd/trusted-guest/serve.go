package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/containerd/ttrpc"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

type serveFlags struct {
	socket, upstream string
	minSize          cli.Size
	store            string // where images are pulled to
	images           guestpull.Options
}

func (a *app) serve() *cobra.Command {
	f := serveFlags{minSize: securemount.DefaultMinSize}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the guest's agent: secure mount, image pull, and unmount, status, list, grow, health",
		Long: `Serve the secure-mount and image-pull services of a confidential guest, as its agent
calls them over ttrpc, until SIGTERM or SIGINT; requests under way are finished
first. Stores and mounted images stay when the service ends, and the next one goes
on growing them. Images are pulled as "trusted-guest pull" does.

Keys "kbs://…" and "sealed.…", and credentials "kbs://…", are asked for at the
socket that --upstream names: by default the guest's own ` + securemount.DefaultSocket + `,
unless this service is what listens there.`,
		Example: `  trusted-guest serve
  trusted-guest serve --socket /run/trusted-guest.sock --min-size 8GiB --json`,
		Args: cli.None,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("upstream") && f.socket != securemount.DefaultSocket {
				f.upstream = securemount.DefaultSocket
			}
			if f.upstream == f.socket {
				return cli.UsageErrorf(c, "--upstream %s: that is this service's own socket", f.upstream)
			}
			return a.runServe(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.socket, "socket", securemount.DefaultSocket, "listen on the Unix socket `PATH`")
	flags.StringVar(&f.upstream, "upstream", "", "`PATH` of the socket where keys and credentials are asked for")
	addStoreFlag(c, &f.store)
	addRegistryFlags(c, &f.images)
	flags.Var(&f.minSize, "min-size", "answer a mount when the filesystem has SIZE, or its full size if that is less")
	return c
}

func (a *app) runServe(ctx context.Context, f serveFlags) error {
	log := a.serviceLog()
	f.images.Logger, f.images.KeyService = log, f.upstream
	server := securemount.New(securemount.Options{
		Logger: log, MinSize: uint64(f.minSize), Upstream: f.upstream, Version: cli.Version(),
	})
	defer server.Close()
	l, err := securemount.Listen(ctx, f.socket)
	if err != nil {
		return err
	}
	if err := server.Adopt(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := notify("READY=1"); err != nil {
		log.Warn("the service manager was not told", "err", err)
	}
	log.Info("serving", "socket", f.socket, "upstream", f.upstream, "min_size", f.minSize.String(), "version", cli.Version())
	err = securemount.Serve(ctx, l, log, services(server, guestpull.New(f.store, f.images))...)
	log.Info("stopped")
	return err
}

// services are all that the socket offers.
func services(mount *securemount.Server, images *guestpull.Images) []func(*ttrpc.Server) {
	pull := func(s *ttrpc.Server) { cdh.RegisterImagePullServiceService(s, &guestpull.Service{Images: images}) }
	return []func(*ttrpc.Server){mount.Register, pull}
}

// serviceLog is for a journal, not for a person at a terminal.
func (a *app) serviceLog() *slog.Logger {
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, nil))
	}
	return slog.New(slog.NewTextHandler(a.err, nil))
}

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/containerd/ttrpc"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/protocol/cdh"
	"github.com/trusted-store/trusted-store/storage/protocol/stores"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

type serveFlags struct {
	socket, upstream string
	metrics          string // where they are shown; empty: nowhere
	minSize          cli.Size
	asUsed           cli.AsUsed
	store            string // where images are pulled to
	images           registryFlags
	policy           securemount.Policy
	least, most      cli.Size // of a device
}

func (a *app) serve() *cobra.Command {
	f := serveFlags{asUsed: true}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the agent: stores, images, status, health",
		Long: `Serve the secure-mount and image-pull services of a confidential guest, as its agent
calls them over ttrpc, until SIGTERM or SIGINT; requests under way are finished
first. Stores and mounted images stay when the service ends, and the next one goes
on growing them. Images are pulled as "trusted-guest pull" does.

What is asked of other services, such as GetResourceService and SealedSecretService,
is passed on to the socket that --upstream names, and so are its own questions for
keys "kbs://…" and "sealed.…" and credentials "kbs://…". By default that is the
guest's own ` + securemount.DefaultSocket + `, unless this
service is what listens there.`,
		Example: `  trusted-guest serve
  trusted-guest serve --socket /run/trusted-guest.sock --min-size 8GiB --json
  trusted-guest serve --metrics 127.0.0.1:9464`,
		Args: cli.None,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("upstream") && f.socket != securemount.DefaultSocket {
				f.upstream = securemount.DefaultSocket
			}
			if f.upstream == f.socket {
				return cli.UsageErrorf(c, "--upstream %s: that is this service's own socket", f.upstream)
			}
			if err := checkMetricsAddress(f.metrics); err != nil {
				return cli.UsageError(err, c)
			}
			f.policy.MinDevice, f.policy.MaxDevice = uint64(f.least), uint64(f.most)
			if err := f.policy.Check(); err != nil {
				return cli.UsageError(err, c)
			}
			return a.runServe(c, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.socket, "socket", securemount.DefaultSocket, "listen on the Unix socket `PATH`")
	flags.StringVar(&f.upstream, "upstream", "", "`PATH` of the socket where keys and credentials are asked for, and all that is not served here")
	addStoreFlag(c, &f.store)
	f.images.add(c)
	flags.Var(&f.minSize, "min-size", "answer a mount when the filesystem has SIZE, or its full size if that is less (default 4 GiB if that is the full size, or with --grow full)")
	flags.Lookup("min-size").DefValue = "" // as the text says
	flags.Var(&f.asUsed, "grow", "full: every store at once; as-used: one of more than 4 GiB only as it fills, so that little of a sparse device is used")
	flags.StringVar(&f.metrics, "metrics", "", "show Prometheus metrics at `ADDRESS`: IP:PORT, PORT of 127.0.0.1, or /PATH of a Unix socket")
	addPolicyFlags(c, &f)
	return c
}

func (a *app) runServe(c *cobra.Command, f serveFlags) error {
	ctx, log := c.Context(), a.serviceLog()
	f.images.opts.KeyService = f.upstream
	images, err := f.images.options(c, &f.store, log)
	if err != nil {
		return err
	}
	if err := checkStoreDir(c, f.store, log); err != nil {
		return err
	}
	opts := securemount.Options{
		Logger: log, MinSize: uint64(f.minSize), Upstream: f.upstream, Version: cli.Version(), GrowFull: !bool(f.asUsed), Policy: f.policy,
	}
	if f.metrics != "" {
		end, err := showMetrics(ctx, f.metrics, log, &opts, &images)
		if err != nil {
			return err
		}
		defer end()
	}
	server := securemount.New(opts)
	defer server.Close()
	l, err := securemount.Listen(ctx, f.socket)
	if err != nil {
		return err
	}
	if sameFile(f.socket, f.upstream) {
		return errors.Join(fmt.Errorf("upstream %s: that is this service's own socket", f.upstream), l.Close())
	}
	if err := server.Adopt(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := notify("READY=1"); err != nil {
		log.Warn("the service manager was not told", "err", err)
	}
	log.Info("serving", "socket", f.socket, "upstream", f.upstream, "min_size", f.minSize.String(), "grow", f.asUsed.String(), "version", cli.Version())
	l = securemount.Forward(l, f.upstream, log, ours...)
	err = securemount.Serve(ctx, l, log, services(server, guestpull.New(f.store, images))...)
	log.Info("stopped")
	return err
}

// checkStoreDir refuses what is no directory. One that is not there appears when the
// agent asks for the store; a name that was mistyped is seen in the log.
func checkStoreDir(c *cobra.Command, dir string, log *slog.Logger) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if c.Flags().Changed("store") {
			log.Warn("images cannot be pulled before a store is mounted: no such directory", "store", dir)
		}
		return nil
	case err == nil && !info.IsDir():
		return cli.UsageErrorf(c, "--store %s: not a directory", dir)
	}
	return err
}

// sameFile finds what two names hide: a service that asks itself never ends.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// ours are the names of services; what is asked of others goes to --upstream.
var ours = []string{"api.SecureMountService", "api.ImagePullService", "trustedstore.v1.Stores", "trustedstore.v1.Images"}

// services are those of ours.
func services(mount *securemount.Server, images *guestpull.Images) []func(*ttrpc.Server) {
	pull := func(s *ttrpc.Server) {
		cdh.RegisterImagePullServiceService(s, &guestpull.Service{Images: images})
		stores.RegisterImagesService(s, &guestpull.ProgressService{Images: images})
	}
	return []func(*ttrpc.Server){mount.Register, pull}
}

// serviceLog is for a journal, not for a person at a terminal.
func (a *app) serviceLog() *slog.Logger {
	opts := &slog.HandlerOptions{Level: a.serviceLevel()}
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}

// serviceLevel is one more than a person at a terminal wants: what was served.
func (a *app) serviceLevel() slog.Level {
	if a.verbose || a.quiet {
		return cli.Level(a.verbose, a.quiet)
	}
	return slog.LevelInfo
}

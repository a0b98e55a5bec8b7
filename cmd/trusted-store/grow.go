package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) grow() *cobra.Command {
	var opts storage.GrowOptions
	c := &cobra.Command{
		Use:   "grow NAME|DIR",
		Short: "Grow the filesystem to all of its device, while in use",
		Long: `Grow the filesystem of a live store to the whole of its device. create and open
start this in the background, so it is needed only when that was stopped. It goes
on where growing stopped, does nothing when nothing is left to do, and may be
interrupted or killed at any moment.

One process at a time grows a store: another one fails with status 6, or with
--wait shows how far that one is, and goes on where it stops.`,
		Example: "  trusted-store grow " + storage.DefaultMountPoint,
		Args:    cli.Needs("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.growNow(c.Context(), args[0], opts); err != nil {
				return err
			}
			s, err := storage.StatusOf(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"name": s.Name, "growth": s.Growth})
			}
			fmt.Fprintf(a.out, "%s: the filesystem %s\n", s.Name, growth(s))
			return nil
		},
		ValidArgsFunction: completeStores,
	}
	c.Flags().BoolVar(&opts.Follow, "wait", false, "wait while another process grows it")
	c.Flags().BoolVar(&opts.AsUsed, "as-used", false, "only as far as the filesystem fills, with some room ahead, until the store is closed")
	return c
}

// growNow grows with a progress bar.
func (a *app) growNow(ctx context.Context, nameOrDir string, opts storage.GrowOptions) error {
	progress := a.progress()
	defer progress.end()
	opts.Logger, opts.Progress = a.logger(), progress.report
	return storage.Grow(ctx, nameOrDir, opts)
}

// growth describes how far a store has grown.
func growth(s *storage.Status) string {
	g := s.Growth
	switch {
	case g == nil:
		return ""
	case g.Full():
		return "has its full size of " + humanize.IBytes(g.Bytes)
	case g.Grower != 0 && s.TagMemory != nil:
		return fmt.Sprintf("has %s of %s, process %d grows it as it fills", humanize.IBytes(g.Bytes), humanize.IBytes(g.Target), g.Grower)
	case g.Grower != 0:
		return fmt.Sprintf("has %s of %s, process %d grows it", humanize.IBytes(g.Bytes), humanize.IBytes(g.Target), g.Grower)
	}
	return fmt.Sprintf("has %s of %s, and nobody grows it: trusted-store grow %s", humanize.IBytes(g.Bytes), humanize.IBytes(g.Target), s.Name)
}

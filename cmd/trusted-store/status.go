package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status [NAME|DIR]",
		Short: "Show what is live, from the kernel itself",
		Long: `Show a live store: layers, key location, sizes, mounts, and what of the contents
is protected how. Several are listed, one line each; name one for all of it.
Everything is read from the kernel; there are no state files. A device that
fails, is gone or does not answer is a problem, too.`,
		Example: `  trusted-store status
  trusted-store status --json ` + storage.DefaultMountPoint,
		Args: cli.AtMostOne("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.printStatusOf(c.Context(), args[0])
			}
			list, err := statusOfAll(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			switch len(list) {
			case 0:
				fmt.Fprintln(a.out, "no store is open")
			case 1:
				writeStatus(a.out, &list[0])
			default:
				writeList(a.out, list)
			}
			return nil
		},
		ValidArgsFunction: completeStores,
	}
}

// statusOfAll asks all devices at once: one that does not answer takes its time.
func statusOfAll(ctx context.Context) ([]storage.Status, error) {
	list, err := storage.List(ctx)
	if err != nil {
		return nil, err
	}
	var asked sync.WaitGroup
	for i := range list {
		asked.Go(func() {
			if s, err := storage.StatusOf(ctx, list[i].Name); err == nil { // or closed since
				list[i] = *s
			}
		})
	}
	asked.Wait()
	return list, nil
}

func (a *app) printStatusOf(ctx context.Context, nameOrDir string) error {
	s, err := storage.StatusOf(context.WithoutCancel(ctx), nameOrDir)
	if err != nil {
		return err
	}
	return a.printStatus(s)
}

func (a *app) printStatus(s *storage.Status) error {
	if a.json {
		return a.printJSON(s)
	}
	writeStatus(a.out, s)
	return nil
}

func writeStatus(w io.Writer, s *storage.Status) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s is %s\n", s.Name, headline(s))
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(t, "  %s:\t%s\n", label, text)
		}
	}
	for _, problem := range s.Problems {
		line("PROBLEM", "%s", problem)
	}
	line("promises", "%s", promises(s.Promises))
	line("device", "%s", device(s))
	line("type", "%s", s.Type)
	line("uuid", "%s", s.UUID)
	if h := s.Header; h != nil {
		line("volume", "%s", h.VolumeFingerprint)
		line("header epoch", "%s", epoch(h.Epoch))
	}
	line("cipher", "%s", s.Cipher)
	line("keysize", "%s", bits(s.KeyBits))
	line("key location", "%s", s.KeyLocation)
	line("integrity", "%s", integrityText(s))
	line("sector size", "%d", s.SectorSize)
	line("offset", "%d sectors", s.Offset)
	line("size", "%d sectors (%s)", s.Sectors, humanize.IBytes(s.Sectors*512))
	for _, m := range s.Mounts {
		line("mount", "%s (%s)", m.Dir, m.Options)
	}
	line("swap", "%s", swapText(s.Swap))
	line("filesystem", "%s", filesystem(s.Filesystem))
	line("growth", "%s", growth(s))
	if m := s.TagMemory; m != nil {
		line("tag memory", "%s, at most %s", humanize.IBytes(m.Bytes), humanize.IBytes(m.Limit))
	}
	if s.Tags != "" {
		line("integrity errors", "%s", s.IntegrityErrors)
	}
	_ = t.Flush()                                     // to memory
	_, _ = io.WriteString(w, cli.Fold(text.String())) // the terminal's errors are nobody's to handle
}

func headline(s *storage.Status) string {
	switch {
	case s.State == storage.StateMounted:
		return "mounted at " + s.Mounts[0].Dir
	case s.State == storage.StateSwap:
		return "swap, through " + s.Path
	case s.State == storage.StateMapped:
		return "mapped to " + s.Path + ", not mounted"
	}
	return string(s.State) + "; trusted-store close " + s.Name + " removes it"
}

func promises(list []storage.Promise) string {
	all := []storage.Promise{storage.Confidentiality, storage.IntegrityOfBlocks, storage.Freshness}
	var kept, not []string
	for _, p := range all {
		if slices.Contains(list, p) {
			kept = append(kept, string(p))
		} else {
			not = append(not, string(p))
		}
	}
	if slices.Contains(list, storage.HiddenRewrites) { // nothing that others lack
		kept = append(kept, string(storage.HiddenRewrites))
	}
	if len(kept) == 0 {
		return "none"
	}
	text := strings.Join(kept, ", ")
	if len(not) > 0 {
		text += "; not " + strings.Join(not, ", not ")
	}
	return text
}

func device(s *storage.Status) string {
	if s.Device == "" {
		return s.DeviceNumber
	}
	return fmt.Sprintf("%s (%s), %s", s.Device, s.DeviceNumber, humanize.IBytes(s.DeviceBytes))
}

func bits(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d bits", n)
}

func integrityText(s *storage.Status) string {
	if s.Tags == "" {
		return s.Integrity
	}
	where := "on the " + s.Tags
	if s.TagMemory != nil {
		where = "in " + s.Tags
	}
	return fmt.Sprintf("%s, tags %s, %s", s.Integrity, where, s.Journal)
}

func filesystem(f *storage.Filesystem) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s, %s available, %d of %d inodes free",
		f.Type, humanize.IBytes(f.Bytes), humanize.IBytes(f.AvailableBytes), f.FreeInodes, f.Inodes)
}

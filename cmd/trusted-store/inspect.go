package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) inspect() *cobra.Command {
	rule := integrityRule(cryptsetup.AnyIntegrity)
	var opts storage.InspectOptions
	c := &cobra.Command{
		Use:   "inspect DEVICE|FILE",
		Short: "Show the header, and whether it would be accepted",
		Long: `Show the LUKS2 header, and the integrity superblock where the input reaches it,
field by field, and the profile's verdict. Every violation is named. It only
reads, as any user who may read the input, and hands nothing to the kernel.

Exit status 3 says that open would reject it, for no header, too.`,
		Example: `  trusted-store inspect /dev/sdb
  trusted-store inspect header.img --json`,
		Args: cli.Needs("DEVICE or FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			opts.Profile.Integrity = cryptsetup.IntegrityRule(rule)
			found, err := storage.Inspect(args[0], opts)
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(found)
			} else {
				err = a.writeInspection(found)
			}
			if err == nil && !found.Accepted() {
				return &cli.SilentError{Err: storage.ErrHeaderRejected}
			}
			return err
		},
	}
	c.Flags().Var(&rule, "integrity", "what is accepted: any, hmac-sha256, aead (of aegis128) or none")
	c.Flags().BoolVar(&opts.HeaderOnly, "header-only", false, "leave the integrity superblock out")
	complete(c, "integrity", "any", storage.HMACSHA256.String(), cryptsetup.AEAD.String(), storage.NoIntegrity.String())
	return c
}

func (a *app) writeInspection(i *storage.Inspection) error {
	var text bytes.Buffer
	if err := i.Header.WriteText(&text); err != nil {
		return err
	}
	fmt.Fprintf(&text, "promises     %s\n", promises(i.Promises))
	if i.Superblock != nil {
		writeSuperblock(&text, i)
	}
	_, err := io.WriteString(a.out, cli.Fold(text.String()))
	return err
}

func writeSuperblock(w io.Writer, i *storage.Inspection) {
	s := i.Superblock
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nsuperblock version\t%d\n", s.Version)
	fmt.Fprintf(t, "interleave\t2^%d sectors\n", s.Log2InterleaveSectors)
	fmt.Fprintf(t, "tag size\t%d\n", s.TagSize)
	fmt.Fprintf(t, "journal sections\t%d\n", s.JournalSections)
	fmt.Fprintf(t, "provided sectors\t%d\n", s.ProvidedSectors)
	fmt.Fprintf(t, "flags\t%#x\n", s.Flags)
	fmt.Fprintf(t, "block size\t2^%d sectors\n", s.Log2SectorsPerBlock)
	fmt.Fprintf(t, "bitmap bit\t2^%d blocks\n", s.Log2BlocksPerBitmapBit)
	fmt.Fprintf(t, "recalculated\t%d sectors\n", s.RecalculateSector)
	verdict := "accepted"
	if !s.Accepted {
		verdict = "rejected"
	}
	fmt.Fprintf(t, "verdict\t%s\n", verdict)
	for _, v := range s.Violations {
		fmt.Fprintf(t, "  %s\n", v)
	}
	whole := "accepted: header and superblock"
	if !i.Accepted() {
		whole = "rejected, for what is said above"
	}
	fmt.Fprintf(t, "\nvolume\t%s\n", whole)
	_ = t.Flush() // to memory
}

// integrityRule parses inspect's --integrity.
type integrityRule cryptsetup.IntegrityRule

func (r *integrityRule) String() string { return cryptsetup.IntegrityRule(*r).String() }
func (r *integrityRule) Type() string   { return "KIND" }
func (r *integrityRule) Set(s string) error {
	if s == "any" {
		*r = integrityRule(cryptsetup.AnyIntegrity)
		return nil
	}
	v, err := cryptsetup.ParseIntegrity(s)
	*r = integrityRule(cryptsetup.Require(v))
	return err
}

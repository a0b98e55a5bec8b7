package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) recoverHeader() *cobra.Command {
	var (
		source string
		pins   pinFlags
		opts   storage.RecoverOptions
	)
	c := &cobra.Command{
		Use:   "recover DEVICE",
		Short: "Make the two copies of a header equal after a power cut",
		Long: `Make the two copies of the header on DEVICE equal again. A power cut while a key was
added, changed or removed leaves one of them damaged, or older than the other, and
open rejects such a header. A copy that is not right is never used. Of two that are
right the one with the higher sequence number counts; two with the same number that
differ are refused, unless --copy says which one counts.

The copy that is used must be opened by --key, or nothing is written. A header that is
whole stays as it is.

A host can damage a copy, too, to bring back a key that was being removed. Do this
when you know of a power cut, not at every start.`,
		Example: `  trusted-store inspect /dev/sdb      # what is wrong with which copy
  trusted-store recover /dev/sdb --key file:/run/keys/volume
  trusted-store recover /dev/sdb --key file:/run/keys/volume --copy second`,
		Args: cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			if source == "" {
				return cli.UsageErrorf(c, "--key is missing: what is recovered must be opened by it")
			}
			pinned, err := pins.parse(c)
			if err != nil {
				return err
			}
			opts.ExpectUUID, opts.ExpectVolume, opts.ExpectEpoch = pinned.ExpectUUID, pinned.ExpectVolume, pinned.ExpectEpoch
			key, err := a.key(c.Context(), source)
			if err != nil {
				return err
			}
			defer key.Wipe()
			done, err := storage.Recover(c.Context(), args[0], key, opts)
			if err != nil {
				return err
			}
			return a.printRecovery(args[0], done)
		},
	}
	addKey(c, &source)
	pins.addVolume(c)
	c.Flags().Var((*copyFlag)(&opts.Copy), "copy", "which copy counts: newer, first or second")
	complete(c, "copy", copyWords...)
	return c
}

func (a *app) printRecovery(device string, done storage.Recovery) error {
	recovered := done.Copy != cryptsetup.NewerCopy
	if a.json {
		out := headerJSON(device, done.Header, done.HeaderState)
		out["recovered"], out["keyslots"] = recovered, done.Slots
		if recovered {
			out["copy"] = done.Copy.String()
		}
		return a.printJSON(out)
	}
	what := "the header is whole, nothing is written"
	if recovered {
		what = fmt.Sprintf("the %v counts; both are that now", done.Copy)
	}
	fmt.Fprintf(a.out, "%s: %s\n", device, what)
	a.printHeader(done.Slots, done.Header, done.HeaderState)
	return nil
}

// copyWords are what --copy takes, in the order of the values.
var copyWords = []string{"newer", "first", "second"}

// copyFlag parses --copy.
type copyFlag cryptsetup.CopyChoice

func (f *copyFlag) String() string { return copyWords[*f] }
func (f *copyFlag) Type() string   { return "COPY" }
func (f *copyFlag) Set(s string) error {
	for i, word := range copyWords {
		if s == word {
			*f = copyFlag(i)
			return nil
		}
	}
	return fmt.Errorf("expected newer, first or second")
}

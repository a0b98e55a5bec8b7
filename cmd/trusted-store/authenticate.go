package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) authenticate() *cobra.Command {
	var (
		flags keyFlags
		opts  storage.AuthenticateOptions
	)
	c := &cobra.Command{
		Use:   "authenticate DEVICE",
		Short: "Authenticate the header of a volume under its key",
		Long: `Authenticate the header of the volume on DEVICE, which may be open meanwhile: a token
in it holds an HMAC over all of it, under a key derived from the volume's, with an
epoch that rises with every change. open compares it before anything is mapped.

create does this with every volume that has a key. This is for volumes of before and
those of cryptsetup. cryptsetup opens them as ever; when it changes a key slot the token
is not right any more, and open refuses the volume. When you made that change yourself,
--accept-changed takes the header as it is now: look at the key slots that are printed.

A header whose token is right stays as it is.`,
		Example: `  trusted-store authenticate /dev/sdb --key file:/run/keys/volume
  cryptsetup luksAddKey /dev/sdb /run/keys/next --key-file /run/keys/volume
  trusted-store authenticate /dev/sdb --key file:/run/keys/next --accept-changed`,
		Args: cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if flags.present == "" {
				return cli.UsageErrorf(c, "--key is missing: the header is authenticated under the volume's key")
			}
			if opts.Expect, err = flags.pins.parse(c); err != nil {
				return err
			}
			key, err := a.key(c.Context(), flags.present)
			if err != nil {
				return err
			}
			defer key.Wipe()
			done, err := storage.Authenticate(c.Context(), args[0], key, opts)
			if err != nil {
				return err
			}
			return a.printAuthentication(args[0], done)
		},
	}
	flags.add(c, "a key that opens the volume")
	c.Flags().BoolVar(&opts.AcceptChanged, "accept-changed", false, "take the header as it is now, though its token is wrong or gone: you changed it")
	return c
}

func (a *app) printAuthentication(device string, done storage.Authentication) error {
	if a.json {
		out := headerJSON(device, done.Header, done.HeaderState)
		out["renewed"], out["keyslots"] = done.Renewed, done.Slots
		return a.printJSON(out)
	}
	what := "the header is authenticated"
	if !done.Renewed {
		what += " already, nothing is written"
	}
	fmt.Fprintf(a.out, "%s: %s\n", device, what)
	a.printHeader(done.Slots, done.Header, done.HeaderState)
	return nil
}

// headerJSON is what every verb says of a header that it wrote.
func headerJSON(device string, header [sha256.Size]byte, state storage.HeaderState) map[string]any {
	out := map[string]any{"device": device, "fingerprint": hex.EncodeToString(header[:]), "volume_fingerprint": hex.EncodeToString(state.Volume[:])}
	if state.Epoch > 0 {
		out["epoch"] = state.Epoch
	}
	return out
}

func (a *app) printHeader(slots []storage.Keyslot, header [sha256.Size]byte, state storage.HeaderState) {
	for _, s := range slots {
		fmt.Fprintln(a.out, s)
	}
	fmt.Fprintf(a.out, "fingerprint  %x\nvolume       %x\nepoch        %s\n", header, state.Volume, epoch(state.Epoch))
}

func epoch(n uint64) string {
	if n == 0 {
		return "none: the header is not authenticated"
	}
	return fmt.Sprint(n)
}

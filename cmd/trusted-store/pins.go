package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

// pinFlags say which volume, and which state of its header, is accepted.
type pinFlags struct {
	uuid, header, volume string
	authenticated        bool
	epoch                uint64
}

func (f *pinFlags) add(c *cobra.Command) {
	f.addVolume(c)
	flags := c.Flags()
	flags.StringVar(&f.header, "expect-header", "", "refuse every header but the one with this `SHA256`, the fingerprint that inspect, recover and the verbs of key print; it changes with every key that does")
	flags.BoolVar(&f.authenticated, "require-authenticated", false, "refuse a header without a token of ours; one with a wrong token is refused always")
}

// addVolume adds what does not change with the keys.
func (f *pinFlags) addVolume(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.uuid, "expect-uuid", "", "refuse every volume but the one with this `UUID`")
	flags.StringVar(&f.volume, "expect-volume", "", "refuse every volume but the one with this `SHA256`, the volume fingerprint that create, open and the verbs of key print; it never changes")
	flags.Uint64Var(&f.epoch, "expect-epoch", 0, "refuse a header that is not authenticated, and one of an epoch below `N`, as an old one that was put back")
}

// parse returns what all verbs take; open has the same under its own type.
func (f *pinFlags) parse(c *cobra.Command) (o storage.KeyOptions, err error) {
	o.RequireAuthenticated, o.ExpectEpoch = f.authenticated, f.epoch
	if o.ExpectUUID, err = expectedUUID(c, f.uuid); err != nil {
		return o, err
	}
	if o.ExpectHeader, err = expectedSum(c, "--expect-header", f.header, "a header"); err != nil {
		return o, err
	}
	o.ExpectVolume, err = expectedSum(c, "--expect-volume", f.volume, "a volume")
	return o, err
}

// expectedUUID parses --expect-uuid. The zero one would accept every volume.
func expectedUUID(c *cobra.Command, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(text)
	switch {
	case err != nil:
		return id, cli.UsageErrorf(c, "--expect-uuid %q is not a UUID", text)
	case id == uuid.Nil:
		return id, cli.UsageErrorf(c, "--expect-uuid %q is not a UUID of a volume", text)
	}
	return id, nil
}

// expectedSum parses the hash of something. The zero one would accept everything.
func expectedSum(c *cobra.Command, flag, text, of string) (sum [sha256.Size]byte, err error) {
	if text == "" {
		return sum, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, cli.UsageErrorf(c, "%s %q is not a SHA-256 in 64 hexadecimal digits", flag, text)
	}
	if sum = [sha256.Size]byte(b); sum == [sha256.Size]byte{} {
		return sum, cli.UsageErrorf(c, "%s %q is not a SHA-256 of %s", flag, text, of)
	}
	return sum, nil
}

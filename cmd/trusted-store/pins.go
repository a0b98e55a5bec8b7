package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
)

// pinFlags say which volume, and which state of its header, is accepted.
type pinFlags struct{ uuid, header string }

func (f *pinFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.uuid, "expect-uuid", "", "refuse every volume but the one with this `UUID`")
	c.Flags().StringVar(&f.header, "expect-header", "", "refuse every header but the one with this `SHA256`, the fingerprint that inspect, recover and the verbs of key print; it changes with every key that does")
}

func (f *pinFlags) parse(c *cobra.Command) (id uuid.UUID, header [sha256.Size]byte, err error) {
	if id, err = expectedUUID(c, f.uuid); err == nil {
		header, err = expectedHeader(c, f.header)
	}
	return id, header, err
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

// expectedHeader parses --expect-header. The zero one would accept every header.
func expectedHeader(c *cobra.Command, text string) (sum [sha256.Size]byte, err error) {
	if text == "" {
		return sum, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, cli.UsageErrorf(c, "--expect-header %q is not a SHA-256 in 64 hexadecimal digits", text)
	}
	if sum = [sha256.Size]byte(b); sum == [sha256.Size]byte{} {
		return sum, cli.UsageErrorf(c, "--expect-header %q is not a SHA-256 of a header", text)
	}
	return sum, nil
}

package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) open() *cobra.Command {
	var (
		common    storeFlags
		expect    string
		header    string
		maxMemory uint64
	)
	c := &cobra.Command{
		Use:   "open DEVICE",
		Short: "Open a volume with its key and mount it; never formats",
		Long: `Open the volume on DEVICE (a path or MAJ:MIN) with its key, and mount it.
Nothing is written before the key is proven right, and nothing is ever formatted:
a device without a header that we accept is an error. A device that became larger
is taken whole, and the filesystem grows to it; one that shrank is refused.`,
		Example: `  trusted-store open /dev/trusted_store --key file:/run/keys/volume
  get-key | trusted-store open 8:16 --key -`,
		Args: cli.Needs("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			opts := storage.OpenOptions{
				Name: common.name, MountPoint: common.mount, Integrity: common.integrity,
				MaxArgon2Memory: maxMemory << 20,
				Grow:            storage.GrowLater,
			}
			var err error
			if opts.ExpectUUID, err = expectedUUID(c, expect); err != nil {
				return err
			}
			if opts.ExpectHeader, err = expectedHeader(c, header); err != nil {
				return err
			}
			if common.key == "" {
				return cli.UsageErrorf(c, "--key is missing: an existing volume needs its key")
			}
			key, err := a.key(c.Context(), common.key)
			if err != nil {
				return err
			}
			defer key.Wipe()
			progress := a.progress()
			opts.Logger, opts.Progress = a.logger(), progress.report
			store, err := storage.Open(c.Context(), args[0], key, opts)
			progress.end()
			if err != nil {
				return err
			}
			return a.growAndPrint(c.Context(), store, common)
		},
	}
	common.add(c)
	c.Flags().StringVar(&expect, "expect-uuid", "", "refuse every volume but the one with this `UUID`")
	c.Flags().StringVar(&header, "expect-header", "", "refuse every header but the one with this `SHA256`, the fingerprint that inspect prints; it changes with every key added or removed")
	addMaxMemory(c, &maxMemory)
	return c
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

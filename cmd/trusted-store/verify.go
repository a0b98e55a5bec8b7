package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) verify() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "verify NAME|DIR",
		Short: "Read all that is stored; report what cannot be read",
		Long: `Read everything that the filesystem of a live store has in use, and report each
run of sectors (of 512 bytes, of the mapping) that cannot be read, with what it
holds: a file or a directory, with its inode and its paths in the filesystem, or
the filesystem's own, such as a bitmap, the journal, or an inode table, with the
paths of those whose inodes it has. The store may be in use meanwhile; of a
file that is moved while it is looked for, there may be the inode alone.

A store is not wiped when it is made, so what was never written cannot be read
and is left out: free space, and space that is only reserved. --all reads every
block; that is right for a volume that was wiped, as cryptsetup formats it.

Exit status 5 says that something cannot be read.`,
		Example: "  trusted-store verify " + storage.DefaultMountPoint,
		Args:    cli.Needs("NAME or DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			progress := a.progress()
			opts := storage.VerifyOptions{Logger: a.logger(), Progress: progress.report}
			if all {
				opts.Scope = storage.VerifyAll
			}
			found, err := storage.Verify(c.Context(), args[0], opts)
			progress.end()
			if found == nil {
				return err
			}
			return errors.Join(a.printVerification(found), err)
		},
		ValidArgsFunction: completeStores,
	}
	c.Flags().BoolVar(&all, "all", false, "read every block, not only those in use")
	return c
}

func (a *app) printVerification(v *storage.Verification) error {
	if a.json {
		return a.printJSON(v)
	}
	for _, u := range v.Unreadable {
		fmt.Fprintln(a.out, u)
	}
	fmt.Fprintf(a.out, "%s: %s\n", v.Name, verdict(v))
	if !v.Complete {
		fmt.Fprintln(a.out, "there may be more: not everything could be looked at")
	}
	if !v.Authenticated {
		fmt.Fprintln(a.out, "the volume has no integrity: a changed block reads as noise, and is not found")
	}
	return nil
}

func verdict(v *storage.Verification) string {
	size := humanize.IBytes(v.Bytes)
	if v.Scope == storage.VerifyUsed {
		size += " in use"
	}
	switch {
	case v.UnreadableBytes > 0:
		return fmt.Sprintf("%s of the %s cannot be read", humanize.IBytes(v.UnreadableBytes), size)
	case v.Authenticated:
		return "all " + size + " are authentic"
	}
	return "all " + size + " can be read"
}

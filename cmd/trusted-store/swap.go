package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/storage"
)

// swapFlags are those of create that make the store swap.
type swapFlags struct {
	swap     bool
	priority int
}

func (f *swapFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&f.swap, "swap", false, "make it swap: no filesystem, no mount; ephemeral, with its tags on the device")
	flags.IntVar(&f.priority, "swap-priority", 0, "with --swap: `N`, 1 to 32767; areas of the highest priority are used first (default: the kernel chooses)")
}

// apply sets the options that the flags stand for, and refuses others that say
// something of a filesystem.
func (f *swapFlags) apply(c *cobra.Command, o *storage.CreateOptions) error {
	if !f.swap {
		if c.Flags().Changed("swap-priority") {
			return errors.New("--swap-priority goes with --swap")
		}
		return nil
	}
	for _, name := range []string{"key", "mount", "wait", "grow", "tags", "bytes-per-inode", "inode-size"} {
		if c.Flags().Changed(name) {
			return fmt.Errorf("--%s does not go with --swap: swap is ephemeral, has its tags on the device, and no filesystem", name)
		}
	}
	if f.priority < 1 && c.Flags().Changed("swap-priority") {
		return fmt.Errorf("--swap-priority %d: expected 1 to 32767", f.priority)
	}
	o.Swap = &storage.SwapOptions{Priority: f.priority, Label: o.Filesystem.Label}
	o.MountPoint, o.Filesystem.Label = "", ""
	return nil
}

func swapText(u *storage.SwapUse) string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s used, priority %d", humanize.IBytes(u.Bytes), humanize.IBytes(u.UsedBytes), u.Priority)
}

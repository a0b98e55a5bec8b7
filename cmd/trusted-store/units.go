package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/internal/storetab"
)

func (a *app) units() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "units [DIR [EARLY LATE]]",
		Short: "Check the table of stores that systemd makes at boot",
		Long: `Check the table, and list its stores. With DIR, also write there the systemd units
that make them, as systemd asks a generator: a link to this program by the name
` + generatorName + ` in /usr/lib/systemd/system-generators is one, and does that
at every boot. EARLY and LATE stay empty.

A line is NAME DEVICE MOUNTPOINT [OPTIONS], with blanks or tabs between; one that
begins with # is a comment. DEVICE is a path, such as one in /dev/disk/by-id, or
SERIAL=… of a disk, or PARTLABEL=… of a partition, for which udev is not needed.
MOUNTPOINT is absolute; none is the mapping alone, or swap with that option. The
stores are ephemeral: what was on the device at the last boot is gone.

OPTIONS, with commas between, are the long flags of create without their dashes, but
for key, mount and name; nofail, with which the machine goes on when the store cannot
be made; and device-timeout=TIME, how long to wait for the device, 90s by default.

Without nofail a store that cannot be made fails local-fs.target, as an fstab does,
and kata-agent.service. So does a table with a mistake: then none is made, and
trusted-store-tab.service tells the file, the line and what is wrong.`,
		Example: `  cat /etc/trusted-store.tab
  scratch  SERIAL=scratch  /run/kata-containers/image  wait=8GiB
  trusted-store units
  systemctl status trusted-store@scratch.service`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 && len(args) != 3 {
				return cli.UsageErrorf(c, "none, one or three directories are expected, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return generate(args[0], file)
			}
			stores, err := readTab(file)
			if err != nil {
				return err
			}
			return a.printBootStores(stores)
		},
	}
	addTab(c, &file)
	return c
}

// generate writes units. Whoever is told of a failure here may not look: so it is
// also one of the boot.
func generate(dir, file string) error {
	stores, err := readTab(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.Join(err, storetab.WriteFaulty(dir))
	}
	entries := make([]storetab.Entry, 0, len(stores))
	for _, s := range stores {
		entries = append(entries, s.entry)
	}
	return storetab.WriteUnits(dir, entries)
}

func (a *app) printBootStores(stores []bootStore) error {
	if a.json {
		return a.printJSON(stores)
	}
	for _, s := range stores {
		line := fmt.Sprintf("%s %s %s %s", s.Name, s.Device, s.MountPoint, strings.Join(s.Options, ","))
		if _, err := fmt.Fprintln(a.out, strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}

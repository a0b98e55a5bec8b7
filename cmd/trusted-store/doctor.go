package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [DEVICE]",
		Short: "Say what works on this machine, what does not, and what to do",
		Long: `Look at what a store needs: privilege, kernel, device-mapper, ciphers, ext4,
memory, and the device when one is named. It writes to no device; the kernel may
load modules that a store needs anyhow.

A line begins with ok, warning or fails. Exit status 0 says that a store can be
made, 8 that the kernel lacks something, 2 that root or the device is missing,
6 that the device is in use, 7 that it is not blank, too small or read-only.`,
		Example: `  trusted-store doctor
  trusted-store doctor /dev/sdb --json`,
		Args: cli.AtMostOne("DEVICE"),
		RunE: func(_ *cobra.Command, args []string) error {
			found := storage.Diagnose(append(args, "")[0])
			err := a.writeDiagnosis(found)
			if failed := found.Err(); err == nil && failed != nil {
				return &cli.SilentError{Err: failed}
			}
			return err
		},
	}
}

func (a *app) writeDiagnosis(d *storage.Diagnosis) error {
	if a.json {
		return a.printJSON(d)
	}
	for _, c := range d.Checks {
		if _, err := fmt.Fprintf(a.out, "%-8s %s: %s\n", c.Result, c.Thing, c.Found); err != nil {
			return err
		}
		if c.Advice == "" {
			continue
		}
		if _, err := fmt.Fprintf(a.out, "         %s\n", cli.InCommand(c.Advice)); err != nil {
			return err
		}
	}
	return nil
}

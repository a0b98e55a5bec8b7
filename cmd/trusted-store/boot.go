package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/internal/storetab"
	"github.com/trusted-store/trusted-store/storage"
)

func (a *app) boot() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "boot NAME",
		Short: "Make a store of that table, once its device is there",
		Long: `Wait for the device of the store of that name in the table, and make the store as
its line says. What the device held is destroyed; a device that holds a known
signature is refused, unless the line has the option force. trusted-store units
--help tells what lines are; trusted-store@NAME.service runs this.`,
		Example: `  trusted-store boot scratch
  trusted-store boot scratch --tab ./trusted-store.tab`,
		Args: cli.Needs("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			stores, err := readTab(file)
			if err != nil {
				return err
			}
			for _, s := range stores {
				if s.Name == args[0] {
					return a.makeBootStore(c.Context(), s)
				}
			}
			return noBootStore(args[0], file, stores)
		},
	}
	addTab(c, &file)
	return c
}

func noBootStore(name, file string, stores []bootStore) error {
	names := make([]string, 0, len(stores))
	for _, s := range stores {
		names = append(names, s.Name)
	}
	hint := "it has no stores"
	if len(names) > 0 {
		hint = "it has " + strings.Join(names, ", ")
	}
	return &storage.Error{Op: "boot", What: name, Kind: storage.ErrInvalid, Err: fmt.Errorf("no store of this name in %s", file), Hint: hint}
}

// makeBootStore is create, with the device and the flags of a line of the table.
func (a *app) makeBootStore(ctx context.Context, s bootStore) error {
	device, err := a.awaitDevice(ctx, s)
	if err != nil {
		return err
	}
	create := a.create()
	if err := create.ParseFlags(s.createFlags()); err != nil {
		return err
	}
	create.SetContext(ctx)
	if err := create.PreRunE(create, nil); err != nil {
		return err
	}
	return create.RunE(create, []string{device})
}

// devicePause is between two looks for a device. There is nothing to wait on that
// all kernels and all machines, with and without udev, have.
const devicePause = 50 * time.Millisecond

// awaitDevice returns the path of the store's device.
func (a *app) awaitDevice(ctx context.Context, s bootStore) (string, error) {
	wait, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for told := false; ; told = true {
		device, err := s.entry.Device.Find()
		if !errors.Is(err, storetab.ErrNotFound) {
			return device, deviceError(s.Device, err, "")
		}
		if !told {
			a.logger().Warn("waiting for the device", "device", s.Device, "at most", s.timeout)
		}
		select {
		case <-time.After(devicePause):
		case <-ctx.Done():
			return "", deviceError(s.Device, ctx.Err(), "")
		case <-wait.Done():
			return "", deviceError(s.Device, fmt.Errorf("%w after %s", err, s.timeout),
				"attach it, or correct the table; lsblk -o NAME,SERIAL,PARTLABEL shows what there is")
		}
	}
}

func deviceError(device string, err error, hint string) error {
	if err == nil {
		return nil
	}
	return &storage.Error{Op: "boot", What: device, Step: "find the device", Kind: storage.ErrInvalid, Err: err, Hint: hint}
}

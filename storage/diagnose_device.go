package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/blockdev"
)

// checkDevice opens the device to read only. Device-mapper and what create asks
// for first have checks of their own.
func checkDevice(name string) []Check {
	dev, err := blockdev.Open(name, blockdev.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrPermission) {
		return []Check{warns("device", "only root can look at it", "run it as root")}
	}
	if err != nil {
		return []Check{fails("device", explainOpen(name, err), "name another device")}
	}
	c := &claimed{Device: dev}
	defer func() { _ = c.Close() }() // it was only read
	checks := []Check{passes("device", fmt.Sprintf("%s, %s", dev.Number(), humanize.IBytes(dev.Size())))}
	if err := c.usable(); err != nil {
		return []Check{fails("device", err, "use another device")}
	}
	if users := c.users(); users != nil {
		return append(checks, *users)
	}
	return append(checks, passes("users", "none"), c.contents(name))
}

// users is nil when nobody uses the device.
func (c *claimed) users() *Check {
	claim, err := blockdev.Open(c.Number().String(), blockdev.Options{ReadOnly: true, Exclusive: true})
	if err == nil {
		err = claim.Close()
	}
	if err == nil {
		return nil
	}
	check := fails("users", c.explainBusy(err), "release it, or use another device")
	return &check
}

// contents says which of create and open would take the device.
func (c *claimed) contents(name string) Check {
	err := second(c.checkBlank(OverwriteBlank))
	if err == nil {
		return passes("contents", "nothing that is known: create takes it")
	}
	if !errors.Is(kindOf(err), ErrNotBlank) { // a refusal is no error of that kind yet
		return fails("contents", err, "")
	}
	found, inspectErr := Inspect(name, InspectOptions{Profile: cryptsetup.Profile{Integrity: cryptsetup.AnyIntegrity}})
	if inspectErr == nil && found.Accepted() {
		return warns("contents", "a volume: open takes it", "storage.Create with CreateOptions.Overwrite destroys it")
	}
	return fails("contents", err, "use another device")
}

func second[T any](_ T, err error) error { return err }

package storetab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Device says which block device is meant: by one of its properties, or, without a
// kind, by its path.
type Device struct{ Kind, Value string }

// The properties that a device is found by. The kernel knows them without udev.
const (
	Serial         = "SERIAL"    // of the disk, as its driver or the machine below says
	PartitionLabel = "PARTLABEL" // name of a partition in its GUID partition table
)

// String is the device as it was written.
func (d Device) String() string {
	if d.Kind == "" {
		return d.Value
	}
	return d.Kind + "=" + d.Value
}

func parseDevice(text string) (Device, error) {
	if path.IsAbs(text) {
		if path.Clean(text) != text || text == "/" {
			return Device{}, fmt.Errorf("device %q: expected a path without //, . and .., and no slash at the end", text)
		}
		return Device{Value: text}, nil
	}
	kind, value, found := strings.Cut(text, "=")
	switch {
	case found && (kind == Serial || kind == PartitionLabel) && value != "":
		return Device{kind, value}, nil
	case kind == "LABEL" || kind == "UUID":
		return Device{}, fmt.Errorf("device %q: a raw device has neither label nor UUID; expected a path, SERIAL=… or PARTLABEL=…", text)
	}
	return Device{}, fmt.Errorf("device %q: expected a path such as /dev/disk/by-id/…, SERIAL=… or PARTLABEL=…", text)
}

// ErrNotFound means that the device is not there, yet.
var ErrNotFound = errors.New("no such device")

// Find returns the path of the device. When there is none the error is
// [ErrNotFound]; when there are several it names them.
func (d Device) Find() (string, error) { return d.findIn("/sys/class/block") }

// findIn looks at the kernel's list of block devices, one directory each.
func (d Device) findIn(list string) (string, error) {
	if d.Kind == "" {
		if _, err := os.Stat(d.Value); errors.Is(err, fs.ErrNotExist) {
			return "", ErrNotFound
		}
		return d.Value, nil // what else is wrong with it is told by who opens it
	}
	entries, err := os.ReadDir(list)
	if err != nil {
		return "", err
	}
	var found []string
	for _, e := range entries {
		if d.describes(filepath.Join(list, e.Name())) {
			found = append(found, "/dev/"+strings.ReplaceAll(e.Name(), "!", "/"))
		}
	}
	switch len(found) {
	case 0:
		return "", ErrNotFound
	case 1:
		return found[0], nil
	}
	slices.Sort(found)
	return "", fmt.Errorf("%s is that of several devices: %s", d, strings.Join(found, ", "))
}

// describes reads the properties of a device from its directory of sysfs. One that
// goes away meanwhile has none.
func (d Device) describes(dir string) bool {
	if d.Kind == PartitionLabel {
		text, _ := os.ReadFile(filepath.Join(dir, "uevent"))
		return slices.Contains(strings.Split(string(text), "\n"), "PARTNAME="+d.Value)
	}
	return slices.Contains(serials(dir), d.Value)
}

// serials are those of a disk: of virtio-blk beside its other attributes, of NVMe and
// MMC in those of their controller, of SCSI and ATA in page 0x80 of the vital product
// data, behind a header of four bytes (SPC-4, 7.8.15). Partitions have none.
func serials(dir string) []string {
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		return nil
	}
	var all []string
	for _, name := range []string{"serial", "device/serial"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			all = append(all, strings.TrimSpace(string(text)))
		}
	}
	if page, err := os.ReadFile(filepath.Join(dir, "device/vpd_pg80")); err == nil && len(page) > 4 {
		all = append(all, strings.Trim(string(page[4:]), " \x00\n"))
	}
	return all
}

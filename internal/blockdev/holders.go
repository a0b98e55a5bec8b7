package blockdev

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// HolderKind says how something uses a device.
type HolderKind string

// The ways to use a device.
const (
	Mounted   HolderKind = "mount"     // Name is the mount point
	Mapped    HolderKind = "mapping"   // Name is the mapping's, or the md device's
	Partition HolderKind = "partition" // Name is the partition's
	Swap      HolderKind = "swap"      // Name is the device's in /proc/swaps
)

// Holder is one user of a device.
type Holder struct {
	Kind HolderKind
	Name string
}

// String returns "mount /mnt" or the like.
func (h Holder) String() string { return string(h.Kind) + " " + h.Name }

// Holders returns what uses a device, as far as this mount namespace sees it:
// none does not prove that the device is free; opening it exclusively does.
// Partitions are named, not what is on them.
func Holders(number dm.Device) ([]Holder, error) {
	var all []Holder
	for _, find := range []func(dm.Device) ([]Holder, error){mounts, mappings, Partitions, swaps} {
		found, err := find(number)
		if err != nil {
			return nil, opError("holders", number.String(), err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func mounts(number dm.Device) ([]Holder, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []Holder
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && fields[2] == number.String() {
			found = append(found, Holder{Mounted, unescape(fields[4])})
		}
	}
	return found, nil
}

// unescape undoes the octal escapes of mountinfo(5).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

func mappings(number dm.Device) ([]Holder, error) {
	dir := filepath.Join(sysDir(number), "holders")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Holder
	for _, e := range entries {
		name, err := os.ReadFile(filepath.Join(dir, e.Name(), "dm/name"))
		if err != nil {
			name = []byte(e.Name()) // not device-mapper, or gone by now
		}
		found = append(found, Holder{Mapped, strings.TrimSpace(string(name))})
	}
	return found, nil
}

// Partitions returns those holders of a device that are its partitions.
func Partitions(number dm.Device) ([]Holder, error) {
	dir := sysDir(number)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []Holder
	for _, e := range entries {
		if !e.IsDir() { // an attribute, or a link
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "partition")); err == nil {
			found = append(found, Holder{Partition, e.Name()})
		}
	}
	return found, err
}

func swaps(number dm.Device) ([]Holder, error) {
	area, err := SwapOn(number)
	if area == nil || err != nil {
		return nil, err
	}
	return []Holder{{Swap, area.Name}}, nil
}

func is(path string, number dm.Device) bool {
	f, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	found, err := dm.DeviceOf(f)
	return err == nil && found == number
}

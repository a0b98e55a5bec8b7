package main

import (
	"fmt"
	"math"
	"strings"
)

// mapped is what lsblk and cryptsetup should say of a store.
type mapped struct {
	layers    int    // mappings between the device and the mount
	integrity string // "" without
	keySize   int64  // bits
	offset    int64  // sectors of 512 bytes, of the device below
	size      int64  // sectors of 512 bytes
}

// The how-to shows encryptedOnly. With integrity there is a key for it, too, the
// device of dm-crypt is another mapping, which begins behind the header, and the tags
// take 39952 sectors of it; and below the tags' mapping is the one that gives the kernel
// their superblock from memory.
// cryptsetup does not look below a mapping that is not its own, so that it knows
// next to nothing of a store whose tags are in memory.
var (
	encryptedOnly = mapped{1, "", 512, 32768, 5087232}
	authenticated = mapped{3, "hmac(sha256)", 768, 0, 5047280}
	fresh         = mapped{layers: 3}
)

// What else the how-to shows, of an image of 2.15 GB on a device of 2500 MiB.
const (
	howToLayers    = 2_150_000_000
	howToAvailable = 178 << 20 // bytes that are left then
	howToOverlay   = 60 << 10  // bytes
)

// lettersAndDigits are what the names of stores end with.
const lettersAndDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// look shows a store with lsblk, cryptsetup and mount, compares, and returns the
// mapping's name.
func (d *demo) look(want mapped) (name string, err error) {
	name, err = d.lookAtBlocks(want.layers)
	if err != nil {
		return "", err
	}
	if want.size > 0 {
		if err := d.lookAtMapping(name, want); err != nil {
			return "", err
		}
	}
	return name, d.lookAtMount(name)
}

// lookAtBlocks finds one mapping over the other from the device to the mount.
func (d *demo) lookAtBlocks(layers int) (name string, err error) {
	if err := show("lsblk", "--fs", d.device); err != nil {
		return "", err
	}
	mappings, err := above(d.device)
	if err != nil {
		return "", err
	}
	d.seen.between("lsblk: the number of mappings over "+d.device, int64(len(mappings)), int64(layers), int64(layers))
	if len(mappings) == 0 {
		return "", d.seen.err()
	}
	for _, b := range mappings[:len(mappings)-1] {
		d.seen.same("lsblk: the mount point of "+b.Name, b.MountPoint, "")
	}
	top := mappings[len(mappings)-1]
	d.seen.same("lsblk: the mount point of "+top.Name, top.MountPoint, mountPoint)
	d.seen.same("lsblk: what the name "+top.Name+" starts with", strings.TrimRight(top.Name, lettersAndDigits), "encrypted_disk_")
	return top.Name, nil
}

func (d *demo) lookAtMapping(name string, want mapped) error {
	text, err := shown("cryptsetup", "status", name)
	if err != nil {
		return err
	}
	s := cryptsetupStatus(text)
	what := "cryptsetup status: "
	d.seen.same(what+"type", s["type"], "LUKS2")
	d.seen.same(what+"cipher", s["cipher"], "aes-xts-plain64")
	d.seen.same(what+"key location", s["key location"], "keyring")
	d.seen.same(what+"integrity", s["integrity"], want.integrity)
	d.seen.same(what+"device", s["device"], d.device)
	d.seen.same(what+"mode", s["mode"], "read/write")
	for field, value := range map[string]int64{"keysize": want.keySize, "sector size": 4096, "offset": want.offset, "size": want.size} {
		d.seen.between(what+field, firstNumber(s[field]), value, value)
	}
	return nil
}

func (d *demo) lookAtMount(name string) error {
	text, err := output("mount")
	if err != nil {
		return err
	}
	fmt.Println("$ mount | grep encrypted_disk")
	for line := range strings.Lines(text) {
		if strings.Contains(line, "encrypted_disk") {
			fmt.Print(line)
		}
	}
	m := mountedOn(text, mountPoint)
	d.seen.same("mount: what is on "+mountPoint, m.source, "/dev/mapper/"+name)
	d.seen.same("mount: its type", m.kind, "ext4")
	d.seen.same("mount: is it writable?", fmt.Sprint(m.has("rw")), "true")
	return nil
}

func (d *demo) lookAtFiles() error {
	if err := show("du", "-h", "--max-depth=1", mountPoint); err != nil {
		return err
	}
	text, err := output("du", "--block-size=1", "--max-depth=1", mountPoint)
	if err != nil {
		return err
	}
	sizes, err := diskUsage(text)
	if err != nil {
		return err
	}
	d.seen.between("du: layers", sizes[mountPoint+"/layers"], d.layers, withOverhead(d.layers))
	d.seen.between("du: overlay", sizes[mountPoint+"/overlay"], 1, howToOverlay)
	d.seen.between("du: all", sizes[mountPoint], d.layers, withOverhead(d.layers))
	return nil
}

// withOverhead is the most that files of these bytes take: blocks that are not full
// at their ends, and directories.
func withOverhead(bytes int64) int64 { return bytes + bytes/32 }

func (d *demo) lookAtSpace(name string) error {
	if err := show("df", "-h", mountPoint); err != nil {
		return err
	}
	text, err := output("df", "--block-size=1", "--output=source,fstype,target,used,avail", mountPoint)
	if err != nil {
		return err
	}
	s, err := filesystemSpace(text)
	if err != nil {
		return err
	}
	d.seen.same("df: what is on "+mountPoint, s.source, "/dev/mapper/"+name)
	d.seen.same("df: its type", s.kind, "ext4")
	d.seen.same("df: where it is", s.target, mountPoint)
	d.seen.between("df: used", s.used, d.layers, withOverhead(d.layers))
	d.seen.between("df: available", s.available, howToAvailable, math.MaxInt64)
	return nil
}

// lookAtMemory shows that what was written does not stay in memory.
func (d *demo) lookAtMemory(before memory) error {
	if err := show("free", "-m"); err != nil {
		return err
	}
	after, err := freeMemory()
	if err != nil {
		return err
	}
	d.seen.between("free: total", after.total, before.total, before.total)
	most := max(64<<20, d.layers/8)
	d.seen.between("free: what is used more than before", after.used-before.used, math.MinInt64, most)
	d.seen.between("free: what is less available than before", before.available-after.available, math.MinInt64, most)
	return nil
}

func (d *demo) nothingLeft() error {
	if err := show("trusted-store", "status"); err != nil {
		return err
	}
	stores, err := output("trusted-store", "status", "--json")
	if err != nil {
		return err
	}
	d.seen.same("trusted-store status --json", strings.TrimSpace(stores), "[]")
	if err := show("dmsetup", "ls"); err != nil {
		return err
	}
	left, err := above(d.device)
	d.seen.between("lsblk: the number of mappings over "+d.device, int64(len(left)), 0, 0)
	return err
}

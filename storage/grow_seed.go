package storage

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/trusted-store/trusted-store/mkfs"
)

const (
	leastLead    = 512 << 20
	leadFiles    = 8192      // free inodes: those of a group, with the default ratio up to 64 GiB
	leastRoom    = 256 << 20 // the least lead where metadata takes room that others have
	leastFiles   = 2000      // the same, of free inodes
	leastSeed    = 384 << 20 // with tags in memory: 3 MiB of them
	seedUnit     = 128 << 20 // a block group
	seedMetadata = 5 << 19   // written before the store is usable, where more than leastSeed takes it
)

// seed is the size in bytes of the filesystem that Create writes; 0 is the whole
// device.
//
// Programs write into the page cache faster than the device takes it, until the
// kernel holds them back at its dirty limit, and the filesystem needs room for
// all of that at once. Twice the limit leaves time for the first steps, each of
// which brings 64 times what it writes; but no more than can be written quickly.
//
// With tags in memory it has a size that takes little of that, and growing begins at once.
func seed(device uint64, o mkfs.Options, tags TagsPlace) uint64 {
	if tags == TagsInMemory {
		return smallerThan(device, leastSeed)
	}
	size := lead()
	for ; size > leastSeed; size = max(leastSeed, size/2/seedUnit*seedUnit) {
		o.Size = min(size, device)
		l, err := mkfs.Plan(device, o)
		if err != nil || l.MetadataBytes <= seedMetadata {
			break
		}
	}
	return smallerThan(device, size)
}

// lead is the room in bytes that a filesystem must have for what may be written
// into the page cache at once.
func lead() uint64 {
	return max(leastLead, (2*dirtyLimit()+seedUnit-1)/seedUnit*seedUnit)
}

// smallerThan returns 0 where the whole device is hardly larger.
func smallerThan(device, size uint64) uint64 {
	if device <= size+size/4 {
		return 0
	}
	return size
}

// dirtyLimit is how much, in bytes, may be written without being on the device.
func dirtyLimit() uint64 {
	var bytes, percent uint64
	if readNumber("/proc/sys/vm/dirty_bytes", &bytes); bytes > 0 {
		return bytes
	}
	if readNumber("/proc/sys/vm/dirty_ratio", &percent); percent == 0 || percent > 100 {
		percent = 20 // the kernel's default
	}
	return meminfo("MemTotal:") / 100 * percent
}

func readNumber(path string, n *uint64) {
	if text, err := os.ReadFile(path); err == nil {
		_, _ = fmt.Sscan(string(text), n)
	}
}

// meminfo is a figure of the machine's memory in bytes, as "MemTotal:"; 0 when it
// cannot be read.
func meminfo(name string) uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), name); found {
			var kib uint64
			_, _ = fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}

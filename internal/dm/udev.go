package dm

import (
	"os"
	"path/filepath"
)

// udev says whether udev makes and removes device nodes on this machine.
type udev bool

const udevControl = "/run/udev/control"

// ruleDirs are where udev looks for rules; see udev(7). Those of device-mapper, by
// which it makes nodes, come with LVM2: 10-dm.rules, in Debian 55-dm.rules. An image
// that needs no dmsetup may not have them.
var ruleDirs = []string{"/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"}

func udevRuns() udev {
	if _, err := os.Stat(udevControl); err != nil {
		return false
	}
	for _, dir := range ruleDirs {
		if found, _ := filepath.Glob(filepath.Join(dir, "[0-9]*-dm.rules")); len(found) > 0 {
			return true
		}
	}
	return false
}

// Flags of an event for udev's device-mapper rules, which find them in the high
// half of the event number. Source: libdm/libdevmapper.h of LVM2.
const (
	udevNoSubsystemRules = 0x0002
	udevNoDiskRules      = 0x0004
	udevNoOtherRules     = 0x0008
	udevPrimarySource    = 0x0040
	udevFlagsShift       = 16
)

// cookie returns the event number that keeps udev's rules from probing the
// device. Its low half is 0: nobody waits on a semaphore.
func (u udev) cookie() uint32 {
	if !u {
		return 0
	}
	return (udevNoSubsystemRules | udevNoDiskRules | udevNoOtherRules | udevPrimarySource) << udevFlagsShift
}

package dm

import "os"

// udev says whether udev makes and removes device nodes on this machine.
type udev bool

const udevControl = "/run/udev/control"

func udevRuns() udev {
	_, err := os.Stat(udevControl)
	return err == nil
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

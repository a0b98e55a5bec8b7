package securemount

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// DevicePath is the path by which a container's specification says that a block
// device is meant to hold the guest's images: a pod's volumeDevices.devicePath.
const DevicePath = "/dev/trusted_store"

// FindDevice returns the number, "MAJ:MIN", of the block device that a
// specification lists in linux.devices under [DevicePath], in the guest's numbers,
// as the agent has put them there. found is false when it lists none, which is no
// error: the images then go elsewhere. It is an error when what it lists is no block
// device, is listed twice, or is not there.
func FindDevice(spec *specs.Spec) (number string, found bool, err error) {
	number, found, err = listedDevice(spec)
	if err != nil || !found {
		return "", found, err
	}
	if _, err := os.Stat("/sys/dev/block/" + number); err != nil {
		return "", true, fmt.Errorf("%s: this guest has no block device %s: %w", DevicePath, number, err)
	}
	return number, true, nil
}

// listedDevice is FindDevice without a look at the guest.
func listedDevice(spec *specs.Spec) (number string, found bool, err error) {
	if spec == nil || spec.Linux == nil {
		return "", false, nil
	}
	for _, d := range spec.Linux.Devices {
		switch {
		case d.Path != DevicePath:
			continue
		case found:
			return "", true, fmt.Errorf("%s is listed more than once", DevicePath)
		case d.Type != "b":
			return "", true, fmt.Errorf("%s is of type %s, not a block device (\"b\")", DevicePath, quote(d.Type))
		case d.Major < 0 || d.Major >= 1<<12 || d.Minor < 0 || d.Minor >= 1<<20:
			return "", true, fmt.Errorf("%s has the number %d:%d, which no device has", DevicePath, d.Major, d.Minor)
		}
		number, found = fmt.Sprintf("%d:%d", d.Major, d.Minor), true
	}
	return number, found, nil
}

// integrityParameter is the kernel parameter by which a guest says whether the
// image store is authenticated.
const integrityParameter = "agent.secure_storage_integrity"

// KernelIntegrity reads from this kernel's command line whether the image store is
// authenticated; see [IntegrityParameter].
func KernelIntegrity() (bool, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return false, err
	}
	return IntegrityParameter(string(line))
}

// IntegrityParameter reads agent.secure_storage_integrity from a kernel command
// line: true where it is not set. As with other parameters the last one counts.
func IntegrityParameter(commandLine string) (bool, error) {
	integrity := true
	for _, word := range strings.Fields(commandLine) {
		name, value, _ := strings.Cut(word, "=")
		if name != integrityParameter {
			continue
		}
		switch value {
		case "true", "1":
			integrity = true
		case "false", "0":
			integrity = false
		default:
			return false, fmt.Errorf("kernel parameter %s: expected true or false", quote(word))
		}
	}
	return integrity, nil
}

// ImageStore is the mount point of the store that images are pulled to.
const ImageStore = "/run/kata-containers/image/"

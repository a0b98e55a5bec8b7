package securemount

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/trusted-store/trusted-store/storage"
)

// Policy is what a service allows, whatever a request says. The zero value allows
// everything. It is for a configuration that is measured, where requests come from
// what the host has a say in.
type Policy struct {
	// RequireIntegrity refuses stores that are encrypted only.
	RequireIntegrity bool
	// Keys are those that may be used: "random", "sealed" (any sealed secret), a whole
	// name such as "kbs:///default/key/1", or a beginning that ends with a slash, such
	// as "kbs:///default/key/" or "file:///run/keys/". None: any key.
	Keys []string
	// MountPoints are directories; stores are mounted there or below. None: anywhere.
	MountPoints []string
	// MinDevice and MaxDevice are the bytes that a device must and may have. 0: no
	// limit.
	MinDevice, MaxDevice uint64
}

// PolicyError is a request that the policy does not allow. Nothing was touched.
type PolicyError struct{ Problems []string }

// Error names everything that is not allowed.
func (e *PolicyError) Error() string {
	return "not allowed by the policy of this service: " + strings.Join(e.Problems, "; ")
}

// Check says what is wrong with a policy, which then would allow nothing, or not
// what it seems to.
func (p *Policy) Check() error {
	for _, key := range p.Keys {
		if _, err := ParseKeySource(strings.TrimSuffix(key, "/")); err != nil && key != keyNameRandom && key != keyNameSealed {
			return fmt.Errorf("policy: key %s: expected random, sealed, or file:///… or kbs://…, whole or up to a slash", quote(key))
		}
	}
	for _, dir := range p.MountPoints {
		if !canonical(dir) {
			return fmt.Errorf("policy: mount point %s: expected an absolute path without .., // and a slash at the end", quote(dir))
		}
	}
	if p.MaxDevice > 0 && p.MaxDevice < p.MinDevice {
		return fmt.Errorf("policy: devices of %s at the least and %s at the most: no device is both",
			humanize.IBytesN(p.MinDevice, 6), humanize.IBytesN(p.MaxDevice, 6))
	}
	return nil
}

// allow checks a request for the device of that number.
func (p *Policy) allow(r *Request, device string) error {
	var problems []string
	if p.RequireIntegrity && r.Integrity == storage.NoIntegrity {
		problems = append(problems, "dataIntegrity \"false\": integrity is required")
	}
	if len(p.Keys) > 0 && !p.allowsKey(r.Key) {
		problems = append(problems, "key "+r.Key.String()+": allowed are "+strings.Join(p.Keys, ", "))
	}
	if len(p.MountPoints) > 0 && !p.allowsMountPoint(r.MountPoint) {
		problems = append(problems, "mount_point "+quote(r.MountPoint)+": allowed is at or below "+strings.Join(p.MountPoints, ", "))
	}
	if p.MinDevice > 0 || p.MaxDevice > 0 {
		size, err := deviceSize(device)
		if err != nil {
			return &InvalidRequestError{[]string{fmt.Sprintf("device %s: %v", device, err)}}
		}
		if size < p.MinDevice || p.MaxDevice > 0 && size > p.MaxDevice {
			problems = append(problems, fmt.Sprintf("device %s has %s: allowed are %s", device, humanize.IBytes(size), p.sizes()))
		}
	}
	if len(problems) > 0 {
		return &PolicyError{problems}
	}
	return nil
}

func (p *Policy) sizes() string {
	if p.MaxDevice == 0 {
		return humanize.IBytes(p.MinDevice) + " and more"
	}
	return humanize.IBytes(p.MinDevice) + " to " + humanize.IBytes(p.MaxDevice)
}

const (
	keyNameRandom = "random"
	keyNameSealed = "sealed"
)

func (p *Policy) allowsKey(key KeySource) bool {
	name := key.String()
	if key.kind == keySealed {
		name = keyNameSealed
	}
	for _, allowed := range p.Keys {
		if name == allowed || strings.HasSuffix(allowed, "/") && strings.HasPrefix(name, allowed) && plainPath(name) {
			return true
		}
	}
	return false
}

// plainPath reports whether a name means what it shows: whoever resolves it may
// decode and shorten others, to another beginning.
func plainPath(name string) bool {
	if strings.ContainsAny(name, `%\?#`) {
		return false
	}
	for _, part := range strings.Split(name, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return true
}

func (p *Policy) allowsMountPoint(path string) bool {
	for _, dir := range p.MountPoints {
		if path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}

// deviceSize is in bytes.
func deviceSize(number string) (uint64, error) {
	text, err := os.ReadFile("/sys/dev/block/" + number + "/size")
	if err != nil {
		return 0, err
	}
	sectors, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 54)
	return sectors * 512, err
}

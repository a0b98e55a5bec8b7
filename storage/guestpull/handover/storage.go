package handover

import (
	"fmt"
	"path"
	"strings"
)

// Storage is what Kata's runtime sends to the agent in the guest, without the fields
// that have no part in guest pull.
type Storage struct {
	Driver        string
	DriverOptions []string
	Source        string
	FSType        string
	Options       []string
	MountPoint    string
}

// FromStorage returns the pull that a storage asks for: its driver is
// [ImageGuestPull], and so is the name of the one driver option, whose value is the
// JSON of the metadata.
func FromStorage(s Storage) (Pull, error) {
	switch _, known := rules[Type(s.Driver)]; {
	case s.Driver == string(ImageGuestPull):
	case known:
		return Pull{}, fmt.Errorf("%w: storage driver %s", ErrUnsupported, s.Driver)
	default:
		return Pull{}, fmt.Errorf("%w: storage driver %q", ErrNone, s.Driver)
	}
	if s.FSType != "" && s.FSType != "overlay" {
		return Pull{}, fmt.Errorf("%w: storage: fstype %q, expected overlay", ErrInvalid, s.FSType)
	}
	if !strings.HasPrefix(s.MountPoint, "/") || path.Clean(s.MountPoint) != s.MountPoint {
		return Pull{}, fmt.Errorf("%w: storage: mount point %q is not absolute and clean", ErrInvalid, s.MountPoint)
	}
	values, err := driverOption(s.DriverOptions)
	if err != nil {
		return Pull{}, err
	}
	p := Pull{Image: s.Source, Metadata: values, MountPoint: s.MountPoint}
	return p, p.check()
}

// driverOption finds the metadata. Options of other names are not looked at.
func driverOption(options []string) (map[string]string, error) {
	var found []string
	for _, o := range options {
		if value, ok := strings.CutPrefix(o, string(ImageGuestPull)+"="); ok {
			found = append(found, value)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%w: no driver option %s among %d", ErrNone, ImageGuestPull, len(options))
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %d driver options %s", ErrSeveral, len(found), ImageGuestPull)
	}
	var m metadata
	if err := m.member()([]byte(found[0])); err != nil {
		return nil, fmt.Errorf("driver option %s: %w", ImageGuestPull, err)
	}
	return m.values, nil
}

package handover

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// OptionName is the name of the mount option that hands a volume over.
const OptionName = "io.katacontainers.volume"

// MaxBytes is how long the JSON of one volume may be. Kubernetes has 256 KiB for the
// annotations of a pod, which a runtime copies here.
const MaxBytes = 1 << 20

// Volume is one hand-over: well-formed, and valid for its type.
type Volume struct {
	Type     Type
	Source   string            // image reference, device or file, as the type has it
	FSType   string            // type of the filesystem
	Options  []string          // of the mount
	Metadata map[string]string // of DirectBlock and ImageGuestPull
	Nydus    *Nydus            // of the four nydus types
	Verity   *Verity           // of raw and nydus blocks; may be nil
}

// Nydus says how a nydus image is to be read.
type Nydus struct {
	Config      string
	SnapshotDir string
}

// ParseMount returns the volumes that the options of a mount hand over, in their
// order. Other options are not looked at.
func ParseMount(options []string) ([]Volume, error) {
	var all []Volume
	for _, o := range options {
		name, value, found := strings.Cut(o, "=")
		if name != OptionName {
			continue
		}
		if !found {
			return nil, fmt.Errorf("option %s: %w: it has no value", OptionName, ErrMalformed)
		}
		v, err := parseOption(value)
		if err != nil {
			return nil, fmt.Errorf("option %s: %w", OptionName, err)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no mount option %s among %d", ErrNone, OptionName, len(options))
	}
	return all, nil
}

func parseOption(value string) (Volume, error) {
	if len(value) > base64.StdEncoding.EncodedLen(MaxBytes) {
		return Volume{}, tooLong(len(value))
	}
	if strings.ContainsAny(value, "\r\n") { // which the decoder would skip
		return Volume{}, fmt.Errorf("%w: a line break in base64", ErrMalformed)
	}
	text, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return Parse(text)
}

// Parse reads the JSON of one volume.
func Parse(text []byte) (Volume, error) {
	var v Volume
	var direct, pull metadata
	err := parse(text, object{
		"volume_type":   stringTo((*string)(&v.Type)),
		"source":        stringTo(&v.Source),
		"fs_type":       stringTo(&v.FSType),
		"options":       stringsTo(&v.Options),
		"direct_volume": direct.member(),
		"image_pull":    pull.member(),
		"nydus_image":   nydusMember(&v.Nydus),
		"dm_verity":     verityMember(&v.Verity),
	})
	if err != nil {
		return Volume{}, err
	}
	if err := v.check(direct, pull); err != nil {
		return Volume{}, err
	}
	return v, nil
}

// metadata is an object whose only member is a map, and whether it was there.
type metadata struct {
	given  bool
	values map[string]string
}

func (m *metadata) member() member {
	return func(raw []byte) error {
		m.given = true
		return parse(raw, object{"metadata": stringMapTo(&m.values)})
	}
}

func nydusMember(to **Nydus) member {
	return func(raw []byte) error {
		n := &Nydus{}
		*to = n
		return parse(raw, object{"config": stringTo(&n.Config), "snapshot_dir": stringTo(&n.SnapshotDir)})
	}
}

func tooLong(n int) error {
	return fmt.Errorf("%w: %d bytes, at most %d of JSON are read", ErrTooLong, n, MaxBytes)
}

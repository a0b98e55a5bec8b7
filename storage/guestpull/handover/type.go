package handover

import (
	"fmt"
	"slices"
	"strings"
)

// Type says what kind of volume is handed over.
type Type string

// The types of Kata's virtual volumes.
const (
	DirectBlock     Type = "direct_block"      // a block device, to be mounted
	ImageRawBlock   Type = "image_raw_block"   // an image as a block device
	LayerRawBlock   Type = "layer_raw_block"   // a layer as a block device
	ImageNydusBlock Type = "image_nydus_block" // an image as a nydus block device
	LayerNydusBlock Type = "layer_nydus_block" // a layer as a nydus block device
	ImageNydusFS    Type = "image_nydus_fs"    // an image as a nydus filesystem
	LayerNydusFS    Type = "layer_nydus_fs"    // a layer as a nydus filesystem
	ImageGuestPull  Type = "image_guest_pull"  // an image that the guest pulls
)

// rule says which members a volume of a type has beside its type and options.
type rule struct {
	source, fsType bool     // needed
	fsTypes        []string // if not empty, the only ones
	member         string   // the object that is needed, or allowed
	optional       bool     // that object may be missing
	verity         bool     // dm_verity may be given
}

var (
	rawBlock   = rule{source: true, fsType: true, verity: true}
	nydusBlock = rule{source: true, fsType: true, fsTypes: []string{"rafsv6"}, member: "nydus_image", verity: true}
	nydusFS    = rule{source: true, fsType: true, fsTypes: []string{"rafsv5", "rafsv6"}, member: "nydus_image"}
)

var rules = map[Type]rule{
	DirectBlock:     {source: true, fsType: true, member: "direct_volume", optional: true},
	ImageRawBlock:   rawBlock,
	LayerRawBlock:   rawBlock,
	ImageNydusBlock: nydusBlock,
	LayerNydusBlock: nydusBlock,
	ImageNydusFS:    nydusFS,
	LayerNydusFS:    nydusFS,
	ImageGuestPull:  {member: "image_pull"},
}

// check holds a volume against the rule of its type, and takes over the metadata.
func (v *Volume) check(direct, pull metadata) error {
	r, known := rules[v.Type]
	switch {
	case v.Type == "":
		return fmt.Errorf("%w: volume_type is missing", ErrInvalid)
	case !known:
		return fmt.Errorf("%w %q", ErrUnknownType, v.Type)
	case r.source && v.Source == "":
		return v.invalid("source is missing")
	case r.fsType && v.FSType == "":
		return v.invalid("fs_type is missing")
	case r.fsTypes != nil && !slices.Contains(r.fsTypes, v.FSType):
		return v.invalid("fs_type %q, expected %s", v.FSType, strings.Join(r.fsTypes, " or "))
	}
	given := map[string]bool{"direct_volume": direct.given, "image_pull": pull.given, "nydus_image": v.Nydus != nil}
	if err := v.checkMembers(r, given); err != nil {
		return err
	}
	v.Metadata = direct.values
	if pull.given {
		v.Metadata = pull.values
	}
	return nil
}

func (v *Volume) checkMembers(r rule, given map[string]bool) error {
	for _, name := range []string{"direct_volume", "image_pull", "nydus_image"} {
		if given[name] && name != r.member {
			return v.invalid("%s does not belong there", name)
		}
	}
	switch {
	case r.member != "" && !r.optional && !given[r.member]:
		return v.invalid("%s is missing", r.member)
	case v.Nydus != nil && (v.Nydus.Config == "" || v.Nydus.SnapshotDir == ""):
		return v.invalid("nydus_image needs config and snapshot_dir")
	case v.Verity != nil && !r.verity:
		return v.invalid("dm_verity does not belong there")
	case v.Verity != nil:
		if err := v.Verity.check(); err != nil {
			return v.invalid("dm_verity: %w", err)
		}
	}
	return nil
}

func (v *Volume) invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrInvalid, v.Type, fmt.Errorf(format, args...))
}

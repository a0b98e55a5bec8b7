package guestpull

import (
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/trusted-store/trusted-store/storage"
)

// parsePlatform reads OS/ARCH[/VARIANT], with every name of a CPU that containerd
// knows; empty: of this machine.
func parsePlatform(text string) (ocispec.Platform, error) {
	if text == "" {
		return platforms.DefaultSpec(), nil
	}
	p, err := platforms.Parse(text)
	if err != nil || !strings.Contains(text, "/") {
		return p, refuse(storage.ErrInvalid, "as linux/amd64 or linux/arm/v7", "%s is not a platform", quote(text))
	}
	return p, nil
}

// says reports whether an entry of a list says what platform it is for.
func says(p *ocispec.Platform) bool { return p != nil && p.Architecture != "" }

// candidates are the entries of a list that may be for the platform: those that say
// so, the best first, and then those that say nothing. The rules are containerd's.
func candidates(list []ocispec.Descriptor, want platforms.MatchComparer) []ocispec.Descriptor {
	var fitting, silent []ocispec.Descriptor
	for _, d := range list {
		switch {
		case !says(d.Platform):
			silent = append(silent, d)
		case want.Match(*d.Platform):
			fitting = append(fitting, d)
		}
	}
	slices.SortStableFunc(fitting, func(a, b ocispec.Descriptor) int {
		switch {
		case want.Less(*a.Platform, *b.Platform):
			return -1
		case want.Less(*b.Platform, *a.Platform):
			return 1
		}
		return 0
	})
	return append(fitting, silent...)
}

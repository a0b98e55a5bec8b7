package guestpull

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/trusted-store/trusted-store/storage"
)

// outside refuses a bundle in the store, under whatever name: the store's own files
// would be where containers write. Nor may it be mounted over the store.
func outside(store, bundle string) error {
	s, err := spotOf(store)
	if err != nil {
		return err
	}
	b, err := spotOf(filepath.Join(bundle, rootfsName))
	if err != nil {
		return err
	}
	switch {
	case b.isIn(s):
		return refuse(storage.ErrInvalid, "choose a directory outside of the store", "bundle %q is inside of the store %s", bundle, store)
	case isBelow(s.resolved, b.resolved):
		return refuse(storage.ErrInvalid, "choose another directory", "bundle %q would hide the store %s", bundle, store)
	}
	return nil
}

// spot is where a path is, whatever links and mounts lead there.
type spot struct {
	resolved     string // without symbolic links
	major, minor int    // of the filesystem
	inside       string // path in it
}

func (s spot) isIn(other spot) bool {
	same := s.major == other.major && s.minor == other.minor
	return isBelow(s.resolved, other.resolved) || same && isBelow(s.inside, other.inside)
}

func isBelow(name, dir string) bool {
	return strings.HasPrefix(name+"/", strings.TrimSuffix(dir, "/")+"/")
}

// spotOf is where a path is that need not be there.
func spotOf(name string) (spot, error) {
	resolved, err := resolveExisting(filepath.Clean(name))
	if err != nil {
		return spot{}, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(resolved))
	if err != nil {
		return spot{}, err
	}
	var on *mountinfo.Info
	for _, m := range mounts { // the last one of the longest hides the others
		if on == nil || len(m.Mountpoint) >= len(on.Mountpoint) {
			on = m
		}
	}
	if on == nil {
		return spot{resolved: resolved, inside: resolved}, nil
	}
	rest, err := filepath.Rel(on.Mountpoint, resolved)
	return spot{resolved, on.Major, on.Minor, path.Join(on.Root, rest)}, err
}

// resolveExisting follows the links in as much of a path as there is.
func resolveExisting(name string) (string, error) {
	resolved, err := filepath.EvalSymlinks(name)
	if !errors.Is(err, fs.ErrNotExist) || name == "/" {
		return resolved, err
	}
	parent, err := resolveExisting(filepath.Dir(name))
	return filepath.Join(parent, filepath.Base(name)), err
}

package storage

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/google/uuid"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/mkfs"
)

// MountOptions are the options of [MountLive]. The zero value mounts at
// [DefaultMountPoint].
type MountOptions struct {
	// MountPoint, MountFlags, Grow and Logger are as in [OpenOptions].
	MountPoint string
	MountFlags MountFlags
	Grow       GrowMode
	Logger     *slog.Logger
}

// MountLive mounts the filesystem of a live store that is mapped and not mounted: one
// whose maker died just before its mount, or that somebody unmounted. It writes no
// filesystem; a mapping without one is refused with [ErrInvalid], and one that is
// mounted with [ErrBusy].
//
// It needs root.
func MountLive(ctx context.Context, name string, opts MountOptions) (*Store, error) {
	m := activation{
		operation: operation{op: "mount", device: name, log: discardUnlessSet(opts.Logger)},
		name:      name, mountPoint: opts.MountPoint, mountFlags: opts.MountFlags,
	}
	m.setDefaults()
	if err := m.run(ctx, []step{{"check arguments", m.checkLive}, {"mount", m.mount}}); err != nil {
		return nil, err
	}
	return m.store(opts.Grow), nil
}

// checkLive checks that there is a store that can be mounted.
func (a *activation) checkLive(ctx context.Context) error {
	if a.mountPoint == NoMount {
		return refuse(ErrInvalid, "give a directory", "no mount point")
	}
	if err := checkName(a.name); err != nil {
		return err
	}
	if err := checkAbsolute(a.mountPoint); err != nil {
		return err
	}
	control, err := openControl()
	if err != nil {
		return err
	}
	defer control.Close()
	s, err := statusOf(ctx, control, a.name)
	if err != nil {
		return err
	}
	if err := mountable(s); err != nil {
		return err
	}
	if a.id, err = uuid.Parse(s.UUID); err != nil {
		return err
	}
	return checkMountPoint(a.mountPoint, a.log)
}

func mountable(s *Status) error {
	switch {
	case s.State == StateIncomplete || len(s.Problems) > 0:
		return refuse(ErrInvalid, "storage.Close("+s.Name+")", "the store is incomplete, or its live tables are not the profile's")
	case s.State == StateMounted:
		return refuse(ErrBusy, "", "mounted already at %s", s.Mounts[0].Dir)
	case s.State == StateSwap:
		return refuse(ErrBusy, "storage.Close("+s.Name+")", "the kernel swaps to it")
	}
	node, err := os.Open(dm.Path(s.Name))
	if err != nil {
		return err
	}
	if _, err = mkfs.ReadGeometry(node); err != nil {
		err = refuse(ErrInvalid, "", "the mapping holds no filesystem that a store has: %w", err)
	}
	return errors.Join(err, node.Close())
}

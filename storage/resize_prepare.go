package storage

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/mkfs"
)

// prepareGrowth writes what the kernel will read while it grows the filesystem to
// the device that it has now, which may be larger than when it was made. A filesystem
// that is not ours is left to the mount to judge.
func (a *activation) prepareGrowth(ctx context.Context) error {
	fs, err := a.geometry()
	if err != nil {
		return nil // the mount says it better
	}
	if fs.Size() > a.bytes() {
		needed, has := twoSizes(fs.Size(), a.bytes())
		return refuse(ErrUnsuitable, "give it the size that it had: nothing was touched",
			"the device shrank: the filesystem needs %s, %s are there", needed, has)
	}
	growth := fs.Growth(a.bytes())
	if a.integrity == NoIntegrity || a.mountFlags&ReadOnly != 0 || fs.Size() >= growth.Target {
		return nil
	}
	if !growable(fs) {
		a.log.Warn("the filesystem has checksums of its own (metadata_csum), with which the kernel cannot grow it here: it keeps its size",
			"device", a.device, "bytes", fs.Size(), "could be", growth.Target)
		return nil
	}
	if fs.NeedsRecovery {
		if err := replayJournal(dm.Path(a.name)); err != nil {
			return nil // the mount says it better
		}
		if fs, err = a.geometry(); err != nil {
			return err
		}
		if fs.NeedsRecovery {
			return refuse(ErrIntegrity, "", "the filesystem's journal was replayed, and is not empty")
		}
	}
	f, err := a.openMapping()
	if err != nil {
		return err
	}
	err = fs.PrepareGrowth(ctx, f, growth, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// growable reports whether the kernel can grow a filesystem over blocks that nobody
// has written.
func growable(fs mkfs.Geometry) bool { return !fs.MetadataChecksums }

// geometry reads the filesystem of a mapping that nobody has mounted.
func (a *activation) geometry() (mkfs.Geometry, error) {
	f, err := a.openMapping()
	if err != nil {
		return mkfs.Geometry{}, err
	}
	fs, err := mkfs.ReadGeometry(f)
	return fs, errors.Join(err, f.Close())
}

// replayJournal has the kernel bring into the filesystem what only its journal has,
// by mounting it at no place.
func replayJournal(device string) error {
	fd, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fd)
	err = errors.Join(unix.FsconfigSetString(fd, "source", device), unix.FsconfigSetFlag(fd, "ro"))
	if err == nil {
		err = unix.FsconfigCreate(fd)
	}
	if err != nil {
		return fmt.Errorf("mount %s for its journal: %w", device, err)
	}
	return nil
}

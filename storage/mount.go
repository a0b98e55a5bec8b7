package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

const (
	// DefaultMountPoint is where guests pull container images to.
	DefaultMountPoint = "/run/kata-containers/image"
	// NoMount as a mount point asks for the mapping alone: no filesystem is
	// written, none is mounted.
	NoMount = "none"
)

// alwaysMounted: nothing of a store is a device or gains privileges, reads write
// nothing. Executables run, since it holds container images.
const alwaysMounted = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOATIME

// mountData keeps the kernel's background thread away from inode tables (see
// package mkfs) and stops writing at the first error.
const mountData = "noinit_itable,errors=remount-ro"

// checkAbsolute refuses a mount point that depends on where the caller is.
func checkAbsolute(dir string) error {
	if dir == NoMount || filepath.IsAbs(dir) {
		return nil
	}
	return refuse(ErrInvalid, "give an absolute path, or none", "mount point %q is not an absolute path", dir)
}

// checkMountPoint finds what is wrong with dir before anything is touched.
func checkMountPoint(dir string, log *slog.Logger) error {
	if dir == NoMount {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // made later
	case err != nil:
		return refuse(ErrInvalid, "", "mount point %s: %w", dir, withoutName(err, dir))
	case !info.IsDir():
		return refuse(ErrInvalid, "", "mount point %s is not a directory", dir)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return refuse(ErrInvalid, "", "mount point: %w", err)
	}
	taken, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(real))
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		return mountPointTaken(dir, taken[len(taken)-1].Source)
	}
	warnNotEmpty(dir, log)
	return nil
}

func mountPointTaken(dir, source string) error {
	hint := "umount " + dir + ", or choose another directory"
	if name, ok := strings.CutPrefix(source, dm.Dir+"/"); ok && storeOf(name) != "" {
		hint = "storage.Close(" + name + "), or choose another directory"
	}
	return refuse(ErrBusy, hint, "mount point %s: %s is mounted there already", dir, source)
}

func warnNotEmpty(dir string, log *slog.Logger) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); !errors.Is(err, io.EOF) {
		log.Warn("mount point is not empty, its contents are hidden while the store is mounted", "dir", dir)
	}
}

// makeMountPoint makes dir and its missing parents, and returns what undoes
// exactly that.
func makeMountPoint(dir string) (undo func(context.Context) error, err error) {
	var missing []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil || d == "/" {
			break
		}
		missing = append(missing, d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make mount point: %w", err)
	}
	return func(context.Context) error {
		for _, d := range missing {
			if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}, nil
}

func mount(source, dir string, flags MountFlags) error {
	if err := unix.Mount(source, dir, "ext4", alwaysMounted|flags.kernel(), mountData); err != nil {
		if errors.Is(err, unix.ENODEV) {
			return refuse(ErrNotSupported, "build the guest's kernel with CONFIG_EXT4_FS", "mount %s: the kernel has no ext4: %w", dir, err)
		}
		if errors.Is(err, unix.EIO) && !authentic(source) {
			return refuse(ErrIntegrity, "the host has changed it", "mount %s: its block 0 is not what was written there: %w", source, err)
		}
		return fmt.Errorf("mount %s at %s: %w", source, dir, err)
	}
	return nil
}

// authentic reports whether the first block of a mapping authenticates. mount(2)
// says EIO for that, too; a direct read tells.
func authentic(source string) bool {
	f, err := os.OpenFile(source, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return true
	}
	defer f.Close()
	_, err = f.ReadAt(alignedBlocks(blockSize), 0)
	return !errors.Is(err, unix.EILSEQ)
}

const (
	// unmountGrace is how long an unmount waits for a short use, such as a
	// probe, to end.
	unmountGrace = 2 * time.Second
	// growGrace is the same where another process grows the filesystem: a step
	// on a slow device can take that long.
	growGrace = time.Minute
	// unmountPause is between two tries: less than a grower's stepPause.
	unmountPause = stepPause / 4
)

// unmount unmounts dir. A mount that is still in use after grace stays, with
// ErrBusy.
func unmount(ctx context.Context, dir string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for {
		err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL): // EINVAL: not mounted (any more)
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			return refuse(ErrBusy, "stop what uses it (fuser -vm "+dir+") and close again", "unmount %s: in use: %w", dir, err)
		case <-time.After(unmountPause):
		}
	}
}

// unmountAll unmounts every mount of a mapping that this mount namespace sees,
// the newest first.
func unmountAll(ctx context.Context, mapping dm.Info) error {
	entries, err := mountinfo.GetMounts(ofDevice(mapping.Device))
	if err != nil {
		return err
	}
	grace := unmountGrace
	if grownByAnother(mapping) {
		grace = growGrace
	}
	for _, m := range slices.Backward(entries) {
		if err := unmount(ctx, m.Mountpoint, grace); err != nil {
			return err
		}
	}
	return nil
}

func ofDevice(device dm.Device) mountinfo.FilterFunc {
	return func(m *mountinfo.Info) (skip, stop bool) {
		return m.Major != int(device.Major) || m.Minor != int(device.Minor), false
	}
}

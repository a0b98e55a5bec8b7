package guestpull

import (
	"context"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

// room is what the layers of one image may unpack to, and what to do when that is
// not enough. A store that is new is small, and grows to its device while it is
// used: what counts is its full size.
func (im *Images) room(ctx context.Context) (room uint64, hint string, err error) {
	if im.opts.MaxBytes != 0 {
		return im.opts.MaxBytes, "allow it more, with Options.MaxBytes", nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(im.dir, &st); err != nil {
		return 0, "", err
	}
	block := uint64(st.Bsize)
	size := max(st.Blocks*block, fullSize(ctx, im.dir))
	return size - (st.Blocks-st.Bfree)*block, hints[ErrNoRoom], nil
}

// fullSize is what the store that dir is on grows to; 0 when it is on none.
func fullSize(ctx context.Context, dir string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return uint64(m.Major) != uint64(unix.Major(st.Dev)) || uint64(m.Minor) != uint64(unix.Minor(st.Dev)), false
	})
	if err != nil || len(mounts) == 0 {
		return 0
	}
	s, err := storage.StatusOf(ctx, mounts[0].Mountpoint)
	if err != nil || s.Growth == nil {
		return 0
	}
	return s.Growth.Target
}

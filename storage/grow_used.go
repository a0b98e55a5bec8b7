package storage

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

// roomy reports whether the filesystem has room for what programs write before a
// grower that follows its use looks again and has taken a step.
func (g *grower) roomy() (bool, error) {
	root, err := g.openRoot()
	if err != nil {
		return false, err
	}
	defer root.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &st); err != nil {
		return false, os.NewSyscallError("fstatfs", err)
	}
	bytes, files := g.room((st.Blocks - st.Bfree) * uint64(st.Frsize))
	return st.Bfree*uint64(st.Frsize) >= bytes && st.Ffree >= files, nil
}

// room is what must be free in a filesystem that has so many bytes in use. On a
// device that is sparse its metadata takes room that others have, so in front of what
// was never used there is only what takes little.
func (g *grower) room(used uint64) (bytes, files uint64) {
	if g.tags != nil {
		return lead(), leadFiles
	}
	return min(lead(), max(leastRoom, g.cheap/8*7, used)), g.files
}

// lastWithin returns the last of the sizes from this one on that is no more than the
// limit, 0 when none is.
func lastWithin(growth mkfs.Growth, size, limit uint64) (last uint64) {
	for more := true; more && size <= limit; size, more = growth.Next(size) {
		last = size
	}
	return last
}

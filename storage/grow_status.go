package storage

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// Growth is how far a filesystem is on its way to the whole device.
type Growth struct {
	Bytes  uint64 `json:"bytes"`  // size of the filesystem now, with its metadata
	Target uint64 `json:"target"` // its full size
	Grower int    `json:"grower"` // process that grows it; 0: none that this one can see
}

// Full reports whether nothing is left to be done.
func (g *Growth) Full() bool { return g.Bytes >= g.Target }

// growthOf returns nil for a filesystem that is not mounted, or not grown.
func growthOf(mapping dm.Info) *Growth {
	g, err := newGrower(mapping)
	if err != nil {
		return nil
	}
	defer g.node.Close()
	size, err := g.size()
	if err != nil {
		return nil
	}
	return &Growth{Bytes: size, Target: max(g.growth.Target, size), Grower: lockHolder(g.node)}
}

// grownByAnother reports whether a process grows the filesystem of a mapping.
func grownByAnother(mapping dm.Info) bool {
	growth := growthOf(mapping)
	return growth != nil && growth.Grower != 0
}

// lockHolder returns the process that has a file locked, 0 when none has. It does
// not try the lock, which would be in the way of one that wants it.
func lockHolder(f *os.File) (pid int) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 3: FLOCK  ADVISORY  WRITE 1234 00:06:471 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[3] != "WRITE" || fields[5] != inode {
			continue
		}
		if _, err := fmt.Sscan(fields[4], &pid); err == nil {
			return max(pid, 0)
		}
	}
	return 0
}

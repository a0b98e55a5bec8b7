package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/mkfs"
)

// grower grows one filesystem.
type grower struct {
	device   dm.Device
	node     *os.File // of the mapping, through the page cache: see size
	growth   mkfs.Growth
	goal     uint64 // bytes
	asUsed   bool
	cheap    uint64 // largest size on the way whose metadata is no more than seedMetadata; 0: none
	files    uint64 // inodes to have in front of what is used; see room
	short    bool   // of memory for tags, as the log says
	tags     *tagReserve
	log      *slog.Logger
	progress func(Progress)
}

func newGrower(mapping dm.Info) (*grower, error) {
	node, err := os.Open(dm.Path(mapping.Name))
	if err != nil {
		return nil, err
	}
	g := &grower{device: mapping.Device, node: node}
	if err := g.plan(mapping.Name); err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return g, nil
}

func (g *grower) plan(name string) error {
	mounts, err := mountinfo.GetMounts(ofDevice(g.device))
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return errNotMounted
	}
	if mounts[0].FSType != "ext4" {
		return refuse(ErrInvalid, "", "the filesystem is %s: only ext4 is grown", mounts[0].FSType)
	}
	geometry, err := mkfs.ReadGeometry(g.node)
	if err != nil {
		return refuse(ErrInvalid, "", "%w", err)
	}
	g.growth = geometry.Growth(sysfsSize(g.device))
	below, err := readIntegrityLayer(name)
	if err != nil {
		return err
	}
	if below != nil && !growable(geometry) {
		g.growth.Target = geometry.Size()
	}
	g.cheap = lastWithin(g.growth, geometry.Size(), geometry.Within(sysfsSize(g.device), seedMetadata))
	g.files = min(leadFiles, max(leastFiles, g.cheap/seedUnit*geometry.InodesPerGroup*7/8))
	return nil
}

var errNotMounted = refuse(ErrInvalid, "mount it first", "nothing of the store is mounted in this mount namespace")

// size is that of the filesystem at this moment: ext4 keeps its superblock in the
// page cache of the device.
func (g *grower) size() (uint64, error) {
	geometry, err := mkfs.ReadGeometry(g.node)
	return geometry.Size(), err
}

// reached reports whether the goal is, and tells the progress.
func (g *grower) reached() (bool, error) {
	size, err := g.size()
	if err != nil {
		return false, err
	}
	g.progress(Progress{Step: StepGrow, Done: min(size, g.goal), Total: g.goal})
	return size >= g.goal, nil
}

// lock takes the lock that one process at a time has, until the node is closed.
func (g *grower) lock() (bool, error) {
	switch err := unix.Flock(int(g.node.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
		return false, nil
	default:
		return false, os.NewSyscallError("flock", err)
	}
}

// step asks the kernel for the next size. Nothing of the filesystem is open
// before and after.
func (g *grower) step() error {
	root, err := g.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	size, err := g.size()
	if err != nil {
		return err
	}
	next, more := g.growth.Next(size)
	if !more {
		return nil
	}
	if err := g.tags.upTo(next); err != nil {
		return err
	}
	began := time.Now()
	err = mkfs.Resize(root, next)
	g.log.Debug("grow", "from", size, "to", next, "took", time.Since(began).Round(time.Microsecond), "err", err)
	switch {
	case errors.Is(err, unix.EBUSY): // somebody else resizes at this moment
		return nil
	case errors.Is(err, unix.EINVAL) && g.overtaken(next): // or has by now
		return nil
	case errors.Is(err, mkfs.ErrNotPrepared):
		return refuse(nil, "see the kernel's log; the store can be used at the size it has", "%w", err)
	case err != nil:
		return err
	}
	return g.advanced(size, next)
}

// overtaken reports whether the filesystem is as large as a step would have made
// it, or larger: the kernel calls that an invalid size.
func (g *grower) overtaken(next uint64) bool {
	size, err := g.size()
	return err == nil && size >= next
}

// advanced checks that the kernel did what it said.
func (g *grower) advanced(from, to uint64) error {
	size, err := g.size()
	if err == nil && size <= from {
		was, wanted := twoSizes(from, to)
		err = fmt.Errorf("the kernel did not grow it from %s to %s", was, wanted)
	}
	return err
}

// openRoot opens a directory of the filesystem at one of its mounts.
func (g *grower) openRoot() (*os.File, error) {
	mounts, err := mountinfo.GetMounts(ofDevice(g.device))
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if err := checkLazyInit(m); err != nil {
			return nil, err
		}
		root, err := os.OpenFile(m.Mountpoint, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			continue // another mount covers it, or it is gone
		}
		if g.holds(root) {
			return root, nil
		}
		root.Close()
	}
	return nil, errNotMounted
}

// holds reports whether the directory is on the device, and not what a mount
// that is gone had covered.
func (g *grower) holds(dir *os.File) bool {
	var st unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &st)
	return err == nil && st.Dev == unix.Mkdev(g.device.Major, g.device.Minor)
}

// checkLazyInit refuses a mount under which the kernel would leave new inode
// tables for later: blocks that nobody has written must never be read.
func checkLazyInit(m *mountinfo.Info) error {
	if strings.Contains(","+m.VFSOptions+",", ",noinit_itable,") {
		return nil
	}
	return refuse(ErrInvalid, "mount -o remount,noinit_itable "+m.Mountpoint, "%s is not mounted with noinit_itable", m.Mountpoint)
}

package guestpull

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// unpacker makes the entries of one layer, one after the other.
type unpacker struct {
	*tree
	archive *archive
	tar     *tar.Reader
	bytes   int64                       // of regular files
	below   func() (belowLayers, error) // waits for them
	copied  map[string]bool             // names that came from there
	buffer  []byte
}

// all makes what the archive has, to its end.
func (u *unpacker) all() error {
	for {
		h, err := u.tar.Next()
		if errors.Is(err, io.EOF) {
			return u.leave()
		}
		if err != nil {
			return err
		}
		if err := u.entry(h); err != nil {
			return faultOfEntry(h, err)
		}
	}
}

// entry makes, or removes, what one entry is for.
func (u *unpacker) entry(h *tar.Header) error {
	name, err := nameIn("entry", h.Name)
	if err != nil || h.Typeflag == tar.TypeXGlobalHeader {
		return err
	}
	if name == "." {
		return u.rootEntry(h)
	}
	dir, base := path.Split(name)
	if err := u.enter(path.Clean(dir)); err != nil {
		return err
	}
	if len(u.here.path)+1+len(base) > maxPath {
		return unix.ENAMETOOLONG
	}
	if err := u.budgets.takeEntry(costOf(h, base)); err != nil {
		return err
	}
	u.here.changed = true
	switch {
	case base == opaqueName:
		return u.opaque()
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.whiteout(base)
	}
	delete(u.copied, path.Join(u.here.path, base))
	if err := u.make(h, base); err != nil {
		return err
	}
	return u.setAttributes(h, base)
}

// rootEntry is what a layer says of its root directory; what is no directory
// cannot be there.
func (u *unpacker) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return nil
	}
	if err := errors.Join(u.leave(), u.budgets.takeEntry(costOf(h, "."))); err != nil {
		return err
	}
	u.marks.clear(".", implied)
	return setAttributes(u.root, ".", h)
}

// costOf is what an entry takes on the store: twice its place in the directory,
// whose blocks may be half full, and its own blocks.
func costOf(h *tar.Header, base string) int64 {
	cost := int64(2 * (len(base) + 12))
	if attributes := sizeOfXattrs(h); attributes > smallXattrs {
		cost += inBlocks(attributes)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		cost += inBlocks(h.Size)
	case tar.TypeDir:
		cost += blockBytes
	case tar.TypeSymlink:
		if len(h.Linkname) >= smallLink {
			cost += blockBytes
		}
	}
	return cost
}

// What fits into an inode.
const (
	smallXattrs = 64
	smallLink   = 60
)

// make makes the node that an entry is for. What has its name makes room, but for a
// directory where there shall be one.
func (u *unpacker) make(h *tar.Header, base string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(base)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(h, base)
	case tar.TypeLink:
		return u.hardLink(h, base)
	case tar.TypeSymlink:
		if len(h.Linkname) > maxPath {
			return unix.ENAMETOOLONG
		}
		return u.inPlace(base, func() error { return unix.Symlinkat(h.Linkname, u.here.fd, base) })
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return u.device(h, base)
	}
	return refuse(ErrRejected, "", "its entry %s is of the unknown type %q", quote(h.Name), h.Typeflag)
}

// inPlace makes something, after what is there was removed.
func (u *unpacker) inPlace(base string, make func() error) error {
	err := make()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := u.remove(base); err != nil {
		return err
	}
	return make()
}

// remove removes something and all that is in it.
func (u *unpacker) remove(base string) error {
	err := unix.Unlinkat(u.here.fd, base, 0)
	if errors.Is(err, unix.EISDIR) {
		return os.RemoveAll(inside(u.here.fd, base))
	}
	return err
}

// inside is a path of what has that name in an open directory.
func inside(dir int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name) }

func (u *unpacker) directory(base string) error {
	u.marks.clear(path.Join(u.here.path, base), implied)
	err := makeDirectory(u.here.fd, base)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(u.here.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return err
	}
	return u.remake(u.here.fd, base)
}

// device makes a device or a FIFO. One device is how the store says that something
// is removed; numbers that do not fit would become others.
func (u *unpacker) device(h *tar.Header, base string) error {
	kinds := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}
	number := uint64(0)
	if h.Typeflag != tar.TypeFifo {
		if h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor || h.Devmajor == 0 && h.Devminor == 0 {
			return refuse(ErrRejected, "", "its entry %s is device %d:%d, which no image can have", quote(h.Name), h.Devmajor, h.Devminor)
		}
		number = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	}
	return u.inPlace(base, func() error { return unix.Mknodat(u.here.fd, base, kinds[h.Typeflag]|0o600, int(number)) })
}

// The largest device numbers that the kernel has.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

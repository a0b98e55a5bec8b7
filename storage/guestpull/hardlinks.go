package guestpull

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// hardLink gives a file another name. A file that only the layers below have comes
// into this one, as it does when a program makes such a link in a container.
func (u *unpacker) hardLink(h *tar.Header, base string) error {
	target, err := nameIn("hard link's target", h.Linkname)
	if err != nil {
		return err
	}
	found, err := u.link(target, base)
	if err == nil && !found {
		if found, err = u.copyUp(target); err == nil && found {
			found, err = u.link(target, base)
		}
	}
	switch {
	case err == nil && !found, errors.Is(err, unix.ENOENT):
		return refuse(ErrRejected, "", "its entry %s is a hard link to %s, which is not there", quote(h.Name), quote(target))
	case errors.Is(err, unix.EISDIR):
		return refuse(ErrRejected, "", "its entry %s is a hard link to %s, a directory", quote(h.Name), quote(target))
	}
	return err
}

// link reports whether the layer has the target.
func (u *unpacker) link(target, base string) (found bool, err error) {
	dir, name := path.Split(target)
	parent, _, err := u.open(path.Clean(dir), false)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(parent)
	var st unix.Stat_t
	err = unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, err
	case isWhiteout(&st):
		return false, unix.ENOENT
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return false, unix.EISDIR
	}
	return true, u.inPlace(base, func() error { return unix.Linkat(parent, name, u.here.fd, base, 0) })
}

// copyUp copies a file of the layers below into this one, with all that it has. It
// waits for them.
func (u *unpacker) copyUp(target string) (found bool, err error) {
	if u.lowest {
		return false, nil
	}
	below, err := u.below()
	if err != nil {
		return false, err
	}
	seen, err := u.seenBelow(below, path.Dir(target))
	if err != nil {
		return false, err
	}
	layer, st, found, err := below.find(target, seen)
	if err != nil || !found || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false, err
	}
	if err := u.budgets.takeEntry(inBlocks(st.Size)); err != nil {
		return false, err
	}
	here := u.here.name
	if err := u.enter(path.Dir(target)); err != nil {
		return false, err
	}
	u.here.changed = true
	err = below.at(layer, target, func(dir int, name string) error { return u.copyNode(dir, name, &st, path.Base(target)) })
	u.copied[target] = true
	return true, errors.Join(err, u.budgets.names.take(int64(len(target))+nodeBytes), u.enter(here))
}

// dropCopies removes what came from the layers below into a directory that is made
// opaque, with the directories that are there for it alone.
func (u *unpacker) dropCopies() error {
	for name := range u.copied {
		if u.here.path != "." && !strings.HasPrefix(name, u.here.path+"/") {
			continue
		}
		delete(u.copied, name)
		flags := 0
		for ; name != u.here.path; name, flags = path.Dir(name), unix.AT_REMOVEDIR {
			if flags != 0 && !u.marks.has(name, implied) {
				break
			}
			dir, _, err := u.open(path.Dir(name), false)
			if err != nil {
				return err
			}
			err = keepingTimes(dir, func() error { return unix.Unlinkat(dir, path.Base(name), flags) })
			unix.Close(dir)
			if errors.Is(err, unix.ENOTEMPTY) {
				break
			}
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	}
	return nil
}

// seenBelow are the layers below whose directory of that name is seen through this
// layer.
func (u *unpacker) seenBelow(below belowLayers, name string) (layers []int, err error) {
	layers = below.layers
	dir := "."
	see := func(component string) error {
		dir = path.Join(dir, component)
		if layers, err = below.merged(dir, layers); err != nil {
			return err
		}
		hides, err := u.hides(dir)
		if hides {
			layers = nil
		}
		return errors.Join(err, u.budgets.walks())
	}
	if err := see("."); err != nil {
		return nil, err
	}
	for component := range components(name) {
		if err := see(component); err != nil || len(layers) == 0 {
			return nil, err
		}
	}
	return layers, nil
}

// hides reports whether what the layer has under a name hides a directory below.
func (u *unpacker) hides(name string) (bool, error) {
	fd, err := unix.Openat2(u.root, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return true, nil
	case err != nil:
		return false, err
	}
	defer unix.Close(fd)
	return isOpaque(fd)
}

// copyNode copies what is no directory into the directory that was entered.
func (u *unpacker) copyNode(dir int, name string, st *unix.Stat_t, base string) error {
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		u.bytes += st.Size
		return u.copyFile(dir, name, base)
	}
	isLink := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if err := u.copySpecial(dir, name, st, base, isLink); err != nil {
		return err
	}
	if err := unix.Fchownat(u.here.fd, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if !isLink {
		if err := unix.Fchmodat(u.here.fd, base, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return setTimes(u.here.fd, base, []unix.Timespec{st.Atim, st.Mtim})
}

func (u *unpacker) copySpecial(dir int, name string, st *unix.Stat_t, base string, isLink bool) error {
	if !isLink {
		return unix.Mknodat(u.here.fd, base, st.Mode, int(st.Rdev))
	}
	target := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(dir, name, target)
	if err != nil {
		return err
	}
	return unix.Symlinkat(string(target[:n]), u.here.fd, base)
}

// copyPiece is how much is copied between two looks at the context.
const copyPiece = 16 << 20

func (u *unpacker) copyFile(dir int, name, base string) error {
	from, err := openFile(dir, name, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openFile(u.here.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	for err == nil {
		if err = u.archive.ctx.Err(); err == nil {
			_, err = io.CopyN(to, from, copyPiece)
		}
	}
	if errors.Is(err, io.EOF) {
		err = copyLooks(to, from)
	}
	return errors.Join(err, to.Close())
}

func openFile(dir int, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

package guestpull

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isWhiteout reports whether a node is how the kernel's overlay says that a name is
// removed.
func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// whiteout removes what the layer and those below have under a name. Whether those
// have it is known later: see [settle].
func (u *unpacker) whiteout(base string) error {
	name, err := removedBy(base)
	if err != nil {
		return err
	}
	if err := u.remove(name); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if u.lowest {
		return nil
	}
	if err := unix.Mknodat(u.here.fd, name, unix.S_IFCHR, 0); err != nil {
		return err
	}
	return u.marks.set(u.here.path, erases)
}

// opaqueXattr hides what the layers below have in a directory.
const opaqueXattr = "trusted.overlay.opaque"

// opaque removes what the layers below have in the directory.
func (u *unpacker) opaque() error {
	if u.lowest {
		return nil
	}
	return errors.Join(makeOpaque(u.here.fd, "."), u.dropCopies())
}

func makeOpaque(parent int, name string) error {
	return unix.Setxattr(inside(parent, name), opaqueXattr, []byte{'y'}, 0)
}

func isOpaque(dir int) (bool, error) {
	value := make([]byte, 1)
	n, err := unix.Getxattr(inside(dir, "."), opaqueXattr, value)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return false, nil
	}
	return n == 1 && value[0] == 'y', err
}

package guestpull

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const paxXattr = "SCHILY.xattr."

// setAttributes gives what an entry made its owner, attributes, mode and times. A
// program with powers keeps its own, whatever the entry of another name of it says:
// not every maker of archives repeats them there.
func (u *unpacker) setAttributes(h *tar.Header, base string) error {
	if h.Typeflag == tar.TypeLink {
		powerful, err := hasPowers(u.here.fd, base)
		if err != nil || powerful {
			return err
		}
	}
	return setAttributes(u.here.fd, base, h)
}

// hasPowers reports whether a file is a program with capabilities, setuid or
// setgid.
func hasPowers(dir int, base string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, err
	}
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return true, nil
	}
	_, err := unix.Lgetxattr(inside(dir, base), "security.capability", nil)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return false, nil
	}
	return err == nil, err
}

// setAttributes goes by the kernel's order: a change of the owner takes powers
// away.
func setAttributes(dir int, base string, h *tar.Header) error {
	if h.Uid < 0 || int64(h.Uid) >= math.MaxUint32 || h.Gid < 0 || int64(h.Gid) >= math.MaxUint32 {
		return refuse(ErrRejected, "", "its entry %s has the owner %d:%d, which the kernel does not know", quote(h.Name), h.Uid, h.Gid)
	}
	if err := unix.Fchownat(dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := setXattrs(dir, base, h); err != nil {
		return err
	}
	isLink, err := isSymlink(dir, base, h)
	if err != nil {
		return err
	}
	if !isLink {
		if err := unix.Fchmodat(dir, base, uint32(h.Mode&0o7777), 0); err != nil {
			return err
		}
	}
	return setTimes(dir, base, []unix.Timespec{timespec(latest(h.AccessTime, h.ModTime)), timespec(h.ModTime)})
}

// isSymlink reports whether an entry is one, or another name of one.
func isSymlink(dir int, base string, h *tar.Header) (bool, error) {
	if h.Typeflag != tar.TypeLink {
		return h.Typeflag == tar.TypeSymlink, nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st.Mode&unix.S_IFMT == unix.S_IFLNK, err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// timespec is a time as containerd sets it: what is before 1970 or, in nanoseconds,
// beyond 63 bits is 1970.
func timespec(t time.Time) unix.Timespec {
	if t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return unix.Timespec{}
	}
	return unix.NsecToTimespec(t.UnixNano())
}

// setXattrs sets those that are not for the kernel and its overlay alone, as far as
// the filesystem and the kind of file can have them.
func setXattrs(dir int, base string, h *tar.Header) error {
	for key, value := range h.PAXRecords {
		name, is := strings.CutPrefix(key, paxXattr)
		if !is || strings.HasPrefix(name, "trusted.") {
			continue
		}
		err := unix.Lsetxattr(inside(dir, base), name, []byte(value), 0)
		switch {
		case err == nil, errors.Is(err, unix.ENOTSUP):
		case errors.Is(err, unix.EPERM) && strings.HasPrefix(name, "user.") && h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
		case errors.Is(err, unix.ENOSPC) && sizeOfXattrs(h) > blockBytes/2:
			return refuse(ErrRejected, "", "its entry %s has %d bytes of extended attributes, more than the store's filesystem takes", quote(h.Name), sizeOfXattrs(h))
		default:
			return fmt.Errorf("setxattr %s: %w", quote(name), err)
		}
	}
	return nil
}

func sizeOfXattrs(h *tar.Header) (size int64) {
	for key, value := range h.PAXRecords {
		if strings.HasPrefix(key, paxXattr) {
			size += int64(len(key) + len(value))
		}
	}
	return size
}

package guestpull

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyLooks gives a directory, or a file, the owner, extended attributes, mode and
// times of another. A change of the owner takes capabilities away.
func copyLooks(to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	if err := to.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := copyXattrs(to, from); err != nil {
		return err
	}
	times := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	return errors.Join(to.Chmod(info.Mode()), unix.UtimesNanoAt(int(to.Fd()), "", times, unix.AT_EMPTY_PATH))
}

func copyXattrs(to, from *os.File) error {
	names, err := listXattrs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "trusted.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(int(from.Fd()), name, value)
		if err != nil {
			return &os.PathError{Op: "getxattr " + name, Path: from.Name(), Err: err}
		}
		if err := unix.Fsetxattr(int(to.Fd()), name, value[:n], 0); err != nil {
			return &os.PathError{Op: "setxattr " + name, Path: to.Name(), Err: err}
		}
	}
	return nil
}

func listXattrs(f *os.File) ([]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: f.Name(), Err: err}
	}
	return strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 }), nil
}

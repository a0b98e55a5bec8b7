package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

func readKeyFile(path string, log *slog.Logger) (*Key, error) {
	f, err := openKeyFile(path)
	if err != nil {
		return nil, refuse(ErrInvalid, "a key comes from a file, a pipe, an open descriptor or, with -, from standard input", "%s: %w", path, withoutName(err, path))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && log != nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		log.Warn("key file can be read by others than its owner", "path", path, "mode", fmt.Sprintf("%#o", info.Mode().Perm()), "expected", "0600 or 0400")
	}
	return ReadKey(f)
}

// openKeyFile looks at what it opens before, since to open a device may do
// something, and after, since the name may lead elsewhere by then.
func openKeyFile(path string) (*os.File, error) {
	err := mayHoldKey(func(st *unix.Stat_t) error { return unix.Stat(path, st) }, func(fs *unix.Statfs_t) error { return unix.Statfs(path, fs) })
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	err = mayHoldKey(func(st *unix.Stat_t) error { return unix.Fstat(fd, st) }, func(fs *unix.Statfs_t) error { return unix.Fstatfs(fd, fs) })
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// madeUp are filesystems whose files the kernel makes up while they are read: one
// may never end, and none holds a key. Those of firmware do, and are not among them.
var madeUp = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
}

// mayHoldKey takes pipes and regular files. What a link below /proc/self/fd leads to
// is judged, not the link.
func mayHoldKey(stat func(*unix.Stat_t) error, statfs func(*unix.Statfs_t) error) error {
	var st unix.Stat_t
	if err := stat(&st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFIFO:
		return nil
	case unix.S_IFDIR:
		return errors.New("is a directory")
	default:
		return errors.New("a device or a socket holds no key")
	}
	var fs unix.Statfs_t
	if err := statfs(&fs); err != nil {
		return err
	}
	if slices.Contains(madeUp, int64(fs.Type)) {
		return errors.New("the kernel makes up what this file holds: it holds no key")
	}
	return nil
}

package guestpull

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/storage"
)

// tree is a layer's directory while the layer is unpacked into it. No name leads
// out of it: what a symbolic link leads to is looked for inside, as a program with
// the layer as its root directory would.
type tree struct {
	root    int
	lowest  bool // of the image: there is nothing below that it could hide
	marks   *marks
	budgets *budgets
	here    directory // in which entries are being made
}

// directory is one that is open. Its times are not those of what happens in it.
type directory struct {
	name    string // by which an archive calls it
	path    string // without symbolic links
	fd      int
	changed bool
	times   []unix.Timespec
}

func openTree(dir string, lowest bool, b *budgets) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{root: fd, lowest: lowest, marks: newMarks(&b.names), budgets: b, here: directory{fd: -1}}, nil
}

func (t *tree) close() {
	if t.here.fd >= 0 {
		unix.Close(t.here.fd)
	}
	unix.Close(t.root)
}

// enter opens the directory with that name, as [nameIn] returns it, for entries to
// be made in, and makes it when it is missing.
func (t *tree) enter(name string) error {
	if t.here.fd >= 0 && t.here.name == name {
		return nil
	}
	if err := t.leave(); err != nil {
		return err
	}
	fd, real, err := t.open(name, true)
	if err != nil {
		return err
	}
	times, err := timesOf(fd)
	if err != nil {
		unix.Close(fd)
		return err
	}
	t.here = directory{name: name, path: real, fd: fd, times: times}
	return nil
}

// leave closes the directory, with the times that it had when it was entered.
func (t *tree) leave() (err error) {
	if t.here.fd < 0 {
		return nil
	}
	if t.here.changed {
		err = setTimes(t.here.fd, ".", t.here.times)
	}
	unix.Close(t.here.fd)
	t.here = directory{fd: -1}
	return err
}

// open opens a directory, the caller's to close, and returns its path without
// symbolic links. The kernel follows the name, which takes one call; step by step
// it is followed only where there is something to make, or a link.
func (t *tree) open(name string, create bool) (fd int, real string, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err = unix.Openat2(t.root, name, &how)
	switch {
	case errors.Is(err, unix.ENOSYS):
		return -1, "", refuse(storage.ErrNotSupported, "use Linux 5.6 or later", "openat2: %w", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return t.walk(name, create)
	}
	return fd, name, err
}

// openDirectory opens a directory that is no symbolic link.
func openDirectory(parent int, name string) (int, error) {
	return unix.Openat(parent, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// makeDirectory makes a directory with the mode of one that nothing is said of.
func makeDirectory(parent int, name string) error {
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	return unix.Fchmodat(parent, name, 0o755, 0)
}

// remake makes a directory in the place of what is none. Whatever the layers below
// have under that name stays removed.
func (t *tree) remake(parent int, name string) error {
	if err := unix.Unlinkat(parent, name, 0); err != nil {
		return err
	}
	if err := makeDirectory(parent, name); err != nil || t.lowest {
		return err
	}
	return makeOpaque(parent, name)
}

func timesOf(fd int) ([]unix.Timespec, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return []unix.Timespec{st.Atim, st.Mtim}, err
}

func setTimes(parent int, name string, times []unix.Timespec) error {
	return unix.UtimesNanoAt(parent, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// keepingTimes changes what is in a directory, and not when that was done.
func keepingTimes(dir int, change func() error) error {
	times, err := timesOf(dir)
	if err != nil {
		return err
	}
	return errors.Join(change(), setTimes(dir, ".", times))
}

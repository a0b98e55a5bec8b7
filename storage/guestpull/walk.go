package guestpull

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// walk is open, one component after the other.
func (t *tree) walk(name string, create bool) (fd int, real string, err error) {
	w := walk{tree: t, create: create, fd: -1, made: -1}
	if err := w.all(name); err != nil {
		if w.fd >= 0 {
			unix.Close(w.fd)
		}
		return -1, "", err
	}
	return w.fd, w.path("."), nil
}

// walk is a name that is being followed.
type walk struct {
	*tree
	create bool
	fd     int
	done   []string // components
	todo   []string
	links  int
	made   int // how many of done were there; -1: all
}

func (w *walk) all(name string) error {
	if err := w.from("/" + name); err != nil {
		return err
	}
	for len(w.todo) > 0 {
		if err := w.step(); err != nil {
			return fmt.Errorf("%s: %w", quote(w.path(w.todo[0])), err)
		}
	}
	return w.markMade()
}

// from begins anew with an absolute name.
func (w *walk) from(name string) error {
	if len(name) > maxPath+1 {
		return unix.ENAMETOOLONG
	}
	if err := w.markMade(); err != nil {
		return err
	}
	fd, err := unix.Openat(w.root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	w.fd, w.done, w.todo = fd, nil, nil
	if name != "/" {
		w.todo = strings.Split(name[1:], "/")
	}
	return nil
}

func (w *walk) path(last string) string { return path.Join(path.Join(w.done...), last) }

func (w *walk) step() error {
	if err := w.budgets.walks(); err != nil {
		return err
	}
	name := w.todo[0]
	fd, err := openDirectory(w.fd, name)
	if errors.Is(err, unix.ENOENT) && w.create {
		fd, err = w.makeImplied(name)
	}
	if errors.Is(err, unix.ENOTDIR) {
		return w.noDirectory(name)
	}
	if err != nil {
		return err
	}
	unix.Close(w.fd)
	w.fd, w.done, w.todo = fd, append(w.done, name), w.todo[1:]
	return nil
}

// noDirectory is the step onto something else: a link is followed, and what the
// layer removed is there anew.
func (w *walk) noDirectory(name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(w.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.follow(name)
	case isWhiteout(&st) && w.create:
		return w.makeAnew(name)
	case isWhiteout(&st):
		return unix.ENOENT
	}
	return unix.ENOTDIR
}

// follow goes where a symbolic link leads, which is read as in a path that is
// absolute: ".." is one name less.
func (w *walk) follow(name string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	target := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(w.fd, name, target)
	if err != nil {
		return err
	}
	to := path.Join("/"+w.path("."), string(target[:n]))
	if target[0] == '/' {
		to = path.Clean(string(target[:n]))
	}
	return w.from(path.Join(to, path.Join(w.todo[1:]...)))
}

// makeImplied makes a directory that the layer passes through, and has no entry
// for so far. All that follow are missing as well.
func (w *walk) makeImplied(name string) (fd int, err error) {
	if err := w.budgets.makesImplied(); err != nil {
		return -1, err
	}
	if err := keepingTimes(w.fd, func() error { return makeDirectory(w.fd, name) }); err != nil {
		return -1, err
	}
	if w.made < 0 {
		w.made = len(w.done)
	}
	return openDirectory(w.fd, name)
}

// markMade marks what makeImplied made.
func (w *walk) markMade() error {
	made := w.made
	w.made = -1
	if made < 0 || w.lowest {
		return nil
	}
	return w.marks.setFrom(w.path("."), made, implied)
}

// makeAnew makes a directory that the layer removed before: it has nothing of what
// is below, not even how it looks.
func (w *walk) makeAnew(name string) error {
	if err := w.budgets.makesImplied(); err != nil {
		return err
	}
	w.marks.clear(w.path(name), implied)
	return keepingTimes(w.fd, func() error { return w.remake(w.fd, name) })
}

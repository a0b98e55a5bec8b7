package guestpull

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// settling is what is done with an unpacked layer once all below it are whole.
// Before, nobody knows what is there: layers are unpacked at the same time.
type settling struct {
	ctx   context.Context
	root  int // of the layer
	below belowLayers
	// merged are, for the directory that is being looked at and each around it, the
	// layers below whose directory is merged with what is in it.
	merged [][]int
}

// settle makes directories that a layer passes through look as below, and takes
// away the whiteouts that hide nothing: in a directory that is not merged with
// another the kernel's overlay lists them, as names that nothing can be done with.
func settle(ctx context.Context, dir string, m *marks, below belowLayers) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	s := &settling{ctx: ctx, root: root, below: below}
	return m.walk(s.visit)
}

func (s *settling) visit(depth int, name string, m mark) error {
	s.merged = s.merged[:depth]
	around := s.below.layers
	if depth > 0 {
		around = s.merged[depth-1]
	}
	below, err := s.below.merged(name, around)
	if err != nil {
		return errors.Join(s.ctx.Err(), err)
	}
	s.merged = append(s.merged, nil)
	dir, err := s.open(name)
	if dir == nil {
		return err // it was removed again
	}
	defer dir.Close()
	opaque, err := isOpaque(int(dir.Fd()))
	if err != nil {
		return err
	}
	if !opaque {
		s.merged[depth] = below
	}
	return errors.Join(s.ctx.Err(), s.settleDir(dir, name, m, below, s.merged[depth]))
}

// settleDir settles one directory. How it looks comes last: the rest changes it.
func (s *settling) settleDir(dir *os.File, name string, m mark, below, merged []int) error {
	if m&erases != 0 {
		if err := keepingTimes(int(dir.Fd()), func() error { return s.dropGhosts(dir, name, merged) }); err != nil {
			return err
		}
	}
	if m&implied == 0 || len(below) == 0 {
		return nil
	}
	return s.below.at(below[0], name, func(parent int, name string) error {
		from, err := openForReading(parent, name, 0)
		if err != nil {
			return err
		}
		defer from.Close()
		return copyLooks(dir, from)
	})
}

// open returns nil when the layer has no such directory any more.
func (s *settling) open(name string) (*os.File, error) {
	f, err := openForReading(s.root, name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	for _, gone := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP} {
		if errors.Is(err, gone) {
			return nil, nil
		}
	}
	return f, err
}

// openForReading opens a directory without a change of its times.
func openForReading(parent int, name string, resolve uint64) (*os.File, error) {
	fd, err := unix.Openat2(parent, name, &unix.OpenHow{Resolve: resolve,
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NOATIME | unix.O_CLOEXEC})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: quote(name), Err: err}
	}
	return os.NewFile(uintptr(fd), inside(fd, ".")), nil
}

// dropGhosts removes the whiteouts in a directory that hide nothing of those that
// it is merged with.
func (s *settling) dropGhosts(dir *os.File, name string, merged []int) error {
	for {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			if e.Type()&os.ModeCharDevice == 0 {
				continue
			}
			if err := s.dropGhost(int(dir.Fd()), name, e.Name(), merged); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err = errors.Join(s.ctx.Err(), err); err != nil {
			return err
		}
	}
}

func (s *settling) dropGhost(dir int, in, name string, merged []int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || !isWhiteout(&st) {
		return err
	}
	_, _, hides, err := s.below.find(path.Join(in, name), merged)
	if err != nil || hides {
		return err
	}
	return unix.Unlinkat(dir, name, 0)
}

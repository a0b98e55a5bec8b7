package storage

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errStoodBack ends the turn of a grower that follows the use of a filesystem: one
// that has something to do at once asked for the lock.
var errStoodBack = errors.New("another process asked for its turn")

// ask tells those that only wait for the filesystem to fill that somebody waits for
// the lock. It lasts until the node is closed, and so until what is to be done is done.
func (g *grower) ask() error {
	first := askedByte(unix.F_RDLCK)
	return os.NewSyscallError("fcntl", unix.FcntlFlock(g.node.Fd(), unix.F_OFD_SETLK, &first))
}

// asked reports whether somebody does.
func (g *grower) asked() bool {
	first := askedByte(unix.F_WRLCK)
	err := unix.FcntlFlock(g.node.Fd(), unix.F_OFD_GETLK, &first)
	return err == nil && first.Type != unix.F_UNLCK
}

// turn takes the lock, or asks for it. One that follows the use of the filesystem has
// time, and does neither while somebody asks.
func (g *grower) turn() (locked bool, err error) {
	if g.asUsed && g.asked() {
		return false, nil
	}
	locked, err = g.lock()
	if !locked && err == nil && !g.asUsed {
		err = g.ask()
	}
	return locked, err
}

// askedByte is the part of the node whose lock asks. Any number may have it to read,
// beside the whole lock (flock) that one has.
func askedByte(kind int16) unix.Flock_t {
	return unix.Flock_t{Type: kind, Whence: io.SeekStart, Len: 1}
}

package guestpull

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// file makes a regular file.
func (u *unpacker) file(h *tar.Header, base string) (err error) {
	if isSparse(h) {
		if err := u.budgets.sparse.take(h.Size); err != nil {
			return err
		}
	}
	fd := -1
	err = u.inPlace(base, func() (err error) {
		fd, err = unix.Openat(u.here.fd, base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	u.bytes += h.Size
	u.archive.inFile = true
	defer func() { u.archive.inFile = false }()
	return u.contents(h, fd)
}

// contents writes what is in a file. A hole of a sparse file stays one.
func (u *unpacker) contents(h *tar.Header, fd int) error {
	sparse := isSparse(h)
	for {
		n, err := u.tar.Read(u.buffer)
		if piece := u.buffer[:n]; sparse && isZero(piece) {
			_, seekErr := unix.Seek(fd, int64(n), io.SeekCurrent)
			err = errors.Join(seekErr, err)
		} else if writeErr := write(fd, piece); writeErr != nil {
			return writeErr
		}
		if errors.Is(err, io.EOF) {
			if sparse {
				return unix.Ftruncate(fd, h.Size)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

var zero [4096]byte

func isZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zero))
		if !bytes.Equal(b[:n], zero[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

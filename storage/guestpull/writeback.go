package guestpull

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writeback writes the store's filesystem out while a pull goes on. Left to
// itself the kernel begins when a tenth of the memory is to be written, or after
// half a minute: a disk would idle, and then be waited for.
type writeback struct {
	dir     *os.File // stays open: the kernel tells it of every error since
	stopped chan struct{}
	ended   chan error
}

const writebackPause = 2 * time.Second

func startWriteback(dir string) (*writeback, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	w := &writeback{f, make(chan struct{}), make(chan error, 1)}
	go w.run()
	return w, nil
}

func (w *writeback) run() {
	var errs []error
	for {
		select {
		case <-w.stopped:
			w.ended <- errors.Join(errs...)
			return
		case <-time.After(writebackPause):
			errs = append(errs, w.sync())
		}
	}
}

func (w *writeback) sync() error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(w.dir.Fd())))
}

// finish returns once everything is on the disk, or says that it is not.
func (w *writeback) finish() error {
	err := w.stop()
	return errors.Join(err, w.sync(), w.dir.Close())
}

// stop ends the writing and reports what failed so far.
func (w *writeback) stop() error {
	close(w.stopped)
	return <-w.ended
}

// abandon is finish for a pull that failed already.
func (w *writeback) abandon() {
	_ = w.stop() // nothing of it is kept
	w.dir.Close()
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// newMachine makes what a guest needs on the host, and returns the host's end
// of the channel with it.
func newMachine(o *options) (*machine, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, nil, err
	}
	m := &machine{opts: o, self: self}
	if o.bed == "uml" {
		m.cpu, m.cpuLock = takeCPU(o.cache)
	}
	host, far, err := channelPair()
	if err != nil {
		return nil, nil, err
	}
	m.files = append(m.files, far)
	if m.dir, m.lock, err = privateDir(os.TempDir()); err == nil {
		m.console, err = consoleFile(o.log, m.dir)
	}
	var disks []*os.File
	if err == nil {
		disks, err = openDisks(o.cache, o.disks)
	}
	if err != nil {
		host.Close()
		m.close()
		return nil, nil, err
	}
	m.files = append(m.files, disks...)
	return m, host, nil
}

func (m *machine) close() {
	closeAll(m.files)
	if m.console != nil {
		m.console.Close()
	}
	for _, f := range []*os.File{m.lock, m.cpuLock} {
		if f != nil {
			f.Close()
		}
	}
	if m.dir != "" {
		os.RemoveAll(m.dir)
	}
}

// consoleFile is where the kernel writes its messages.
func consoleFile(path, dir string) (*os.File, error) {
	if path == "" {
		path = filepath.Join(dir, "console")
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
}

// channelPair makes the two ends of the channel. Only the host's end can be
// waited for with a deadline; the far one is handed to a kernel process.
func channelPair() (host, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the channel to the guest: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "guest's channel"), nil
}

// dirPattern names the private directories.
const dirPattern = "trusted-store-guest-*"

// dirAge is how old an unlocked directory is, at least, before it is taken for
// abandoned: a new one is locked a moment after it was made.
const dirAge = time.Minute

// privateDir makes a directory for one guest and removes those of guests whose
// runner was killed before it could: nobody holds their lock any more.
func privateDir(parent string) (dir string, lock *os.File, err error) {
	old, err := filepath.Glob(filepath.Join(parent, dirPattern))
	if err != nil {
		return "", nil, err
	}
	for _, d := range old {
		if info, err := os.Stat(d); err != nil || time.Since(info.ModTime()) < dirAge {
			continue
		}
		if f, err := lockDir(d); err == nil {
			os.RemoveAll(d)
			f.Close()
		}
	}
	dir, err = os.MkdirTemp(parent, dirPattern)
	if err != nil {
		return "", nil, err
	}
	lock, err = lockDir(dir)
	return dir, lock, err
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

package main

import (
	"os"
	"os/exec"
)

// bed is a way to run a kernel as an ordinary process.
type bed interface {
	// missing names what must be installed first; empty when the bed can boot.
	missing() lack
	// command is the process that boots the kernel of m with this program as
	// its init. It completes s with what only the bed knows.
	command(m *machine, s *start) (*exec.Cmd, error)
}

// machine is what every bed needs to boot one guest.
type machine struct {
	opts    *options
	self    string     // absolute path of this program
	dir     string     // private directory, removed with the guest
	lock    *os.File   // held on dir while this program lives
	files   []*os.File // inherited from descriptor 3 on: the channel, then the disks
	console *os.File   // the kernel's messages
	cpu     int        // that the kernel stays on, if cpuLock is set
	cpuLock *os.File   // held on the CPU while this program lives
}

// disks is the number of raw disks.
func (m *machine) disks() int { return len(m.files) - 1 }

func newBed(o *options) bed {
	if o.bed == "qemu" {
		return &qemu{cache: o.cache, kernel: o.kernel, arch: o.arch}
	}
	return &uml{cache: o.cache, kernel: o.kernel}
}

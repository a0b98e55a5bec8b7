package storage

import "golang.org/x/sys/unix"

// MountFlags restrict what can be done with a mounted store, beyond nodev,
// nosuid and noatime, which every one is mounted with.
type MountFlags uint8

const (
	// ReadOnly lets nobody write to the filesystem.
	ReadOnly MountFlags = 1 << iota
	// NoExec lets no program on it run.
	NoExec
)

// kernel returns the flags of mount(2).
func (f MountFlags) kernel() (flags uintptr) {
	if f&ReadOnly != 0 {
		flags |= unix.MS_RDONLY
	}
	if f&NoExec != 0 {
		flags |= unix.MS_NOEXEC
	}
	return flags
}

package storage

import (
	"context"
	"errors"
	"iter"
	"os"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/mkfs"
)

// verifier verifies one live store.
type verifier struct {
	opts   VerifyOptions
	live   *live
	size   uint64   // bytes of the mapping
	cached *os.File // the mapping, where the kernel's view of the filesystem is
	direct *os.File // the mapping, past the page cache
	root   *os.File // a directory of the filesystem; nil: it is not mounted
	found  Verification
}

func newVerifier(l *live, opts VerifyOptions) (_ *verifier, err error) {
	opts.Logger = discardUnlessSet(opts.Logger)
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	v := &verifier{opts: opts, live: l, size: sysfsSize(l.crypt.info.Device)}
	v.found = Verification{Name: l.name, Scope: opts.Scope, Authenticated: l.integrity != nil, Complete: true, Unreadable: []Unreadable{}}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if v.cached, err = os.Open(l.path()); err != nil {
		return nil, err
	}
	// Readahead would go on into blocks that nobody has written.
	if err := unix.Fadvise(int(v.cached.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		return nil, os.NewSyscallError("fadvise", err)
	}
	if v.direct, err = os.OpenFile(l.path(), os.O_RDONLY|unix.O_DIRECT, 0); err != nil {
		return nil, err
	}
	v.root, err = openMounted(l)
	return v, err
}

// openMounted opens a directory of the store's filesystem; nil when none is
// mounted in this mount namespace.
func openMounted(l *live) (*os.File, error) {
	mounts, err := mountinfo.GetMounts(ofDevice(l.crypt.info.Device))
	if err != nil {
		return nil, err
	}
	g := grower{device: l.crypt.info.Device}
	for _, m := range mounts {
		root, err := os.OpenFile(m.Mountpoint, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			continue // another mount covers it, or it is gone
		}
		if g.holds(root) {
			return root, nil
		}
		root.Close()
	}
	return nil, nil
}

func (v *verifier) close() {
	for _, f := range []*os.File{v.cached, v.direct, v.root} {
		if f != nil {
			f.Close()
		}
	}
}

// blocks returns what is to be read, as runs of blocks, and how many there are.
// What could not be read while finding out is in the usage.
func (v *verifier) blocks(ctx context.Context) (iter.Seq2[uint64, uint64], *mkfs.Usage, error) {
	if v.opts.Scope == VerifyAll {
		return func(yield func(first, count uint64) bool) { yield(0, v.size/blockSize) }, nil, nil
	}
	usage, err := v.usage(ctx)
	if err != nil {
		return nil, nil, err
	}
	return usage.Runs(), usage, nil
}

// usage asks the filesystem what was written. The first sync brings out what is
// in memory only; the second, what came since and is in the answer.
func (v *verifier) usage(ctx context.Context) (*mkfs.Usage, error) {
	if err := v.sync(); err != nil {
		return nil, err
	}
	usage, err := mkfs.ReadUsage(ctx, v.cached, v.size)
	var op *mkfs.OpError
	switch {
	case errors.Is(err, mkfs.ErrForeign):
		return nil, refuse(ErrInvalid, "storage.VerifyAll reads every block: right where each of them was written once", "it is not known which blocks were written: %w", err)
	case errors.As(err, &op) && ctx.Err() == nil:
		return nil, refuse(ErrIntegrity, "a mapping without a filesystem is verified with storage.VerifyAll", "the filesystem does not say what is in use: %w", err)
	case err != nil:
		return nil, err
	case usage.Unclean && v.root == nil:
		return nil, refuse(ErrInvalid, "mount it first, which replays its journal", "the filesystem is not mounted here, and was not unmounted")
	}
	return usage, v.sync()
}

// ioctlCheckpoint is EXT4_IOC_CHECKPOINT, _IOW('f', 43, __u32).
const ioctlCheckpoint = 0x4004662b

// sync writes out what the mounted filesystem has in memory, and what its journal
// has: before that a block that is in use may never have been written in its place.
func (v *verifier) sync() error {
	if v.root == nil {
		return nil
	}
	if err := unix.Syncfs(int(v.root.Fd())); err != nil {
		return os.NewSyscallError("syncfs", err)
	}
	var flags uint32
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, v.root.Fd(), ioctlCheckpoint, uintptr(unsafe.Pointer(&flags)))
	switch errno {
	case 0, unix.ENODEV: // ENODEV: no journal
		return nil
	case unix.ENOTTY:
		return refuse(ErrNotSupported, "unmount it, and verify the mapping", "a kernel before 5.14 cannot empty the journal of a mounted filesystem")
	}
	return os.NewSyscallError("checkpoint", errno)
}

package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"unsafe"

	"github.com/dustin/go-humanize"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/trusted-store/trusted-store/internal/blockdev"
	"github.com/trusted-store/trusted-store/internal/dm"
)

// SwapOptions are for a store that the kernel swaps to: memory that does not fit comes
// to the device encrypted and, unless Integrity says otherwise, authenticated. Such a
// store is ephemeral, has its tags on the device, no filesystem and no mount.
//
// Nothing is wiped: the kernel reads from swap only what it wrote there. A page that the
// host changed cannot be read; the kernel then kills the process that needs it. An old
// page, put back with its old tag where it was, is read as good: a process may then find
// in its memory what was there before. What must not come to the device is to be locked
// in memory, as keys of this package are.
type SwapOptions struct {
	// Priority, from 1 to 32767: of several areas the kernel uses those of the highest
	// first. 0: one that is lower than any of these, which the kernel chooses.
	Priority int
	// Label is up to 15 bytes.
	Label string
}

// SwapUse is a store's part of the kernel's swap.
type SwapUse struct {
	Bytes     uint64 `json:"bytes"`
	UsedBytes uint64 `json:"used_bytes"`
	Priority  int    `json:"priority"` // chosen by the kernel where it is less than 0
}

func swapUseOf(number dm.Device) (*SwapUse, error) {
	area, err := blockdev.SwapOn(number)
	if area == nil || err != nil {
		return nil, err
	}
	return &SwapUse{area.Bytes, area.Used, area.Priority}, nil
}

// setSwapDefaults comes before the others.
func (c *creation) setSwapDefaults() {
	if c.opts.Swap == nil {
		return
	}
	if c.mountPoint == "" {
		c.mountPoint = NoMount
	}
	if c.opts.Grow == GrowInBackground {
		c.opts.Grow = GrowLater
	}
}

const (
	maxSwapPriority = 0x7fff // SWAP_FLAG_PRIO_MASK
	maxSwapLabel    = 15     // and a 0
	minSwapPages    = 10     // with less the kernel and mkswap have no use
)

// checkSwap refuses what cannot go with swap.
func (c *creation) checkSwap(ctx context.Context) error {
	o := c.opts.Swap
	switch {
	case o == nil:
		return nil
	case c.opts.Key != nil:
		return refuse(ErrInvalid, "leave the key out", "swap with a key: what is in it is of no use after this boot")
	case c.mountPoint != NoMount || c.mountFlags != 0:
		return refuse(ErrInvalid, "leave the mount point and its flags out", "swap has no filesystem that could be mounted")
	case c.opts.Filesystem != FilesystemOptions{} || c.opts.Grow == GrowAsUsed:
		return refuse(ErrInvalid, "leave the options of the filesystem out", "swap has no filesystem, and has all of its device at once")
	case c.opts.Tags.Place == TagsInMemory:
		return refuse(ErrInvalid, "keep the tags on the device", "swap with its tags in memory would take the memory that it is to save")
	case o.Priority < 0 || o.Priority > maxSwapPriority:
		return refuse(ErrInvalid, "", "priority %d of swap: expected 1 to %d, or 0 for the kernel's choice", o.Priority, maxSwapPriority)
	case len(o.Label) > maxSwapLabel:
		return refuse(ErrInvalid, "", "label %.40q of swap: longer than %d bytes", o.Label, maxSwapLabel)
	}
	return noTagsInMemory(ctx)
}

// noTagsInMemory refuses swap beside a store that must keep something in memory.
func noTagsInMemory(ctx context.Context) error {
	list, err := List(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].TagMemory != nil {
			return refuse(ErrBusy, "close it first", "the tags of %s are in memory, and would come to the device with swap", list[i].Name)
		}
	}
	return nil
}

// checkSwapSize refuses a device on which no swap area has room.
func (c *creation) checkSwapSize() error {
	if least := uint64(minSwapPages * os.Getpagesize()); c.opts.Swap != nil && c.bytes() < least {
		return refuse(ErrUnsuitable, "use a larger device", "swap would have %s of it, and needs %s", humanize.IBytes(c.bytes()), humanize.IBytes(least))
	}
	return nil
}

// swapHeader is the first page of an area, of version 1: include/linux/swap.h has it as
// union swap_header. Numbers are as the machine has them.
func swapHeader(page []byte, bytes uint64, id uuid.UUID, label string) {
	const version, lastPage, uuidAt, labelAt = 1024, 1028, 1036, 1052
	clear(page)
	pages := bytes / uint64(len(page))
	binary.NativeEndian.PutUint32(page[version:], 1)
	binary.NativeEndian.PutUint32(page[lastPage:], uint32(min(pages-1, 1<<32-1)))
	copy(page[uuidAt:], id[:])
	copy(page[labelAt:], label)
	const magic = "SWAPSPACE2"
	copy(page[len(page)-len(magic):], magic)
}

func (c *creation) writeSwapArea(context.Context) error {
	f, err := c.openMapping()
	if err != nil {
		return err
	}
	page := alignedBlocks(os.Getpagesize())
	swapHeader(page, c.bytes(), uuid.New(), c.opts.Swap.Label)
	_, err = f.WriteAt(page, 0)
	return errors.Join(err, f.Close())
}

func (c *creation) swapOn(context.Context) error {
	path := dm.Path(c.name)
	if err := swapOn(path, c.opts.Swap.Priority); err != nil {
		return err
	}
	c.undo.Push("swap off "+path, func(ctx context.Context) error { return swapOff(ctx, path) })
	return nil
}

// swapOn has the kernel swap to a device; priority 0 or less: it chooses.
func swapOn(path string, priority int) error {
	const prefer = 0x8000 // SWAP_FLAG_PREFER
	flags := 0
	if priority > 0 {
		flags = prefer | priority
	}
	err := swapCall(unix.SYS_SWAPON, path, flags)
	if errors.Is(err, unix.ENOSYS) {
		return refuse(ErrNotSupported, "build the guest's kernel with CONFIG_SWAP", "the kernel has no swap: %w", err)
	}
	return err
}

// swapOff brings everything back to memory. A signal ends that, and it begins anew.
func swapOff(ctx context.Context, path string) error {
	for {
		err := swapCall(unix.SYS_SWAPOFF, path, 0)
		switch {
		case errors.Is(err, unix.EINTR) && ctx.Err() == nil:
			continue
		case errors.Is(err, unix.ENOMEM):
			return refuse(ErrBusy, "end what takes memory, or give it other swap, and close again", "memory has no room for what is in swap: %w", err)
		}
		return err
	}
}

func swapCall(number uintptr, path string, flags int) error {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(number, uintptr(unsafe.Pointer(name)), uintptr(flags), 0); errno != 0 {
		call := map[uintptr]string{unix.SYS_SWAPON: "swapon", unix.SYS_SWAPOFF: "swapoff"}[number]
		return &os.PathError{Op: call, Path: path, Err: errno}
	}
	return nil
}

// swapOff ends the use of a store as swap. back takes that back, where its mapping is
// still there.
func (l *live) swapOff(ctx context.Context) (back func() error, err error) {
	none := func() error { return nil }
	if l.crypt == nil {
		return none, nil
	}
	use, err := swapUseOf(l.crypt.info.Device)
	if use == nil || err != nil {
		return none, err
	}
	if err := swapOff(ctx, l.path()); err != nil {
		return none, err
	}
	return func() error {
		if err := swapOn(l.path(), use.Priority); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil
	}, nil
}

package mkfs

import (
	"math/bits"

	"github.com/google/uuid"
)

// Options says what filesystem to make. The zero value is right for a store that lives as long as its guest: the whole
// device, no journal, an inode for each 16 KiB to 1 MiB.
type Options struct {
	// Size of the filesystem in bytes, a multiple of BlockSize; 0 is the whole device. Smaller than GrowTo it makes
	// a seed, to be mounted at once and grown while in use.
	Size uint64

	// GrowTo is the size in bytes that the filesystem is meant to reach; 0 is Size. It decides the number of inodes
	// in a group, and so many blocks are kept free behind the group descriptors that growing can stay with the
	// ordinary layout until then. With more than 16 TiB, the kernel switches to meta_bg at about 8 TiB.
	GrowTo uint64

	// BytesPerInode is the number of bytes of GrowTo for which there is one inode, 1024 to 67108864; 0 chooses by
	// GrowTo: 16 KiB up to 64 GiB, 64 KiB up to 1 TiB, 1 MiB above. Less than 4096 gives no more inodes than 4096:
	// a group holds at most 32768.
	BytesPerInode uint64

	// InodeSize is 128 or 256 bytes; 0 is 256. With 128 times end in 2038 and have no fractions of a second.
	InodeSize int

	// Journal adds an ext4 journal of 4 to 64 MiB. All its blocks are written: an unwritten one could not be
	// read, and the journal not replayed, after a crash.
	Journal bool

	// UUID of the filesystem; the zero UUID lets Format choose a random one.
	UUID uuid.UUID

	// Label is the volume's name, at most 16 bytes without a NUL.
	Label string

	// Progress, when set, is called after each write with the bytes written so far and in all.
	Progress func(done, total uint64)
}

const (
	maxLabel         = 16
	minBytesPerInode = 1 << 10
	maxBytesPerInode = 64 << 20
)

// withDefaults replaces zero values and refuses what cannot be done. size is the device's.
func (o Options) withDefaults(size uint64) (Options, error) {
	if o.Size == 0 {
		o.Size = size &^ (BlockSize - 1)
	}
	if o.GrowTo == 0 {
		o.GrowTo = o.Size
	}
	if o.BytesPerInode == 0 {
		o.BytesPerInode = bytesPerInode(o.GrowTo)
	}
	if o.InodeSize == 0 {
		o.InodeSize = 256
	}
	return o, o.check(size)
}

func (o Options) check(size uint64) error {
	switch {
	case o.Size%BlockSize != 0:
		return &OptionError{"Size", o.Size, "a multiple of 4096"}
	case o.Size > size:
		return &SizeError{o.Size, size &^ (BlockSize - 1), ErrTooLarge}
	case o.Size > MaxSize:
		return &SizeError{o.Size, MaxSize, ErrTooLarge}
	case o.GrowTo < o.Size:
		return &OptionError{"GrowTo", o.GrowTo, "0, or at least the filesystem's size"}
	case o.GrowTo > maxGrowTo:
		return &OptionError{"GrowTo", o.GrowTo, "at most 1 EiB"}
	case o.BytesPerInode < minBytesPerInode || o.BytesPerInode > maxBytesPerInode:
		return &OptionError{"BytesPerInode", o.BytesPerInode, "1024 to 67108864"}
	case o.InodeSize != 128 && o.InodeSize != 256:
		return &OptionError{"InodeSize", o.InodeSize, "128 or 256"}
	case len(o.Label) > maxLabel || hasNUL(o.Label):
		return &OptionError{"Label", o.Label, "at most 16 bytes without a NUL"}
	}
	return nil
}

func hasNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

// bytesPerInode is the default ratio: images are many small files, huge volumes are not, and each inode is 256 bytes
// that must be written before it may be used.
func bytesPerInode(size uint64) uint64 {
	switch {
	case size <= 64<<30:
		return 16 << 10
	case size <= 1<<40:
		return 64 << 10
	}
	return 1 << 20
}

// inodesPerGroup spreads the inodes for GrowTo over the groups of GrowTo, rounded up to whole table blocks.
func (o Options) inodesPerGroup() (uint64, error) {
	groups := ceilDiv(o.GrowTo, groupBytes)
	perBlock := uint64(BlockSize / o.InodeSize)
	perGroup := ceilDiv(o.GrowTo/o.BytesPerInode, max(groups, 1))
	perGroup = max(ceilDiv(perGroup, perBlock), 1) * perBlock
	perGroup = min(perGroup, maxInodesPerGroup)
	if hi, lo := bits.Mul64(perGroup, groups); hi != 0 || lo > maxInodes {
		return 0, &OptionError{"BytesPerInode", o.BytesPerInode, "more: ext4 counts inodes in 32 bits"}
	}
	return perGroup, nil
}

func ceilDiv(a, b uint64) uint64 {
	if a == 0 {
		return 0
	}
	return (a-1)/b + 1
}

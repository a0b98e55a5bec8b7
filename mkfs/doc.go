// Package mkfs writes ext4 filesystems that are right on an authenticated device that was never wiped.
//
// On such a device, dm-crypt over dm-integrity, a block that was never written has no valid tag, and reading it fails.
// mke2fs cannot write one: it writes parts of blocks, for which the kernel first reads the rest, and it leaves inode
// tables and journals for later, which is a race when there are several CPUs. This package writes whole blocks only,
// never reads, and writes every block that the kernel may ever read before writing it: all copies of the superblock and
// of the group descriptors with the blocks reserved for growing, all bitmaps, all inode tables, the directories, and the
// journal if there is one. On any other block device, or in a file, the result is an ordinary ext4 filesystem.
//
// # Two functions
//
// [Plan] computes where everything goes, and how much is left, from a size and [Options]. It is pure. [Format] writes
// that to a device. Both are deterministic but for a random UUID, a random seed of the directory hash, and the time.
//
// # Sizes
//
// All sizes are in bytes, unless a name says Blocks; a block is always 4096 bytes, a group 128 MiB. The smallest
// filesystem is [MinSize], 256 KiB; the largest that Format writes is [MaxSize], 64 TiB.
//
// Formatting a whole device costs its inode tables, 256 bytes for each inode: with the default ratio 1.6 % of the device
// up to 64 GiB, 0.4 % up to 1 TiB, 0.02 % above. So a large device is better given a seed first: a small filesystem made
// to grow, with Options.Size and Options.GrowTo, that is mounted at once and grown while in use. What Format writes:
//
//	device          whole    seed of 384 MiB
//	64 MiB         1.1 MB
//	2500 MiB        41 MB             6.2 MB
//	56 GiB         944 MB             6.4 MB
//	1 TiB         4372 MB             2.7 MB
//	15 TiB        5230 MB             8.0 MB
//
// [Layout.PrepareGrowth] then writes the few blocks behind the seed that the kernel reads on the way, before the mount, and
// [Resize] asks the kernel for one of the sizes of a [Growth] after the other, which [ReadGeometry] finds again at any
// time.
//
// A seed has the number of inodes for each group that the grown filesystem will have: with the default ratio for more
// than 1 TiB these are 128 for each 128 MiB, and a seed of 384 MiB has no more than 384. So there the first step is long.
//
// # The format
//
// Features: ext_attr, resize_inode, dir_index, filetype, extent, 64bit, flex_bg (16 groups), sparse_super, large_file,
// huge_file, uninit_bg (checksums of the group descriptors), dir_nlink, extra_isize, and has_journal when asked for. No
// blocks are reserved for root, errors remount read-only, there are no checks by count or time. metadata_csum is left
// out: the device authenticates every block already, and with it the kernel reads blocks that nobody has written when the
// filesystem grows. A seed for 8 to 16 TiB has no 64bit: its descriptors, of half the size, then fit the reserve for
// growing, and no meta_bg is needed.
//
// # What it does not do
//
// Format does not look at what was on the device before, and does not open, lock, sync or discard it: that is the
// caller's. It needs no privileges but to write to the device. Nothing here encrypts or authenticates: that is what the
// device does. Mount what it wrote with noinit_itable if it is to grow on a device that was never wiped; the kernel
// then writes a new group's inode table before anyone can use it.
//
// # Errors
//
// [ErrTooSmall] and [ErrTooLarge] ([*SizeError], with the size that would do), [ErrBadOption] ([*OptionError], with the
// field), and, once writing has begun, [*OpError] with the place and the device's or the context's error.
//
// # Sources
//
// Linux, Documentation/filesystems/ext4 (the data structures), fs/ext4/ext4.h, fs/ext4/super.c (checks at mount,
// checksums), fs/ext4/resize.c (what growing expects), include/linux/jbd2.h.
package mkfs

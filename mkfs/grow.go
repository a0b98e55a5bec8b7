package mkfs

import "math/bits"

// Growth is the way from a seed to the whole of a device: a fixed series of sizes, the same whoever computes it and
// whenever. It follows from the size of the device and the inodes of a group, so that [Layout.PrepareGrowth] can write
// what the kernel will read on the way before the filesystem is mounted, and whoever grows it later, perhaps after a
// crash, asks the kernel for exactly these sizes and has nothing to write.
type Growth struct {
	// Step is the longest distance between two sizes in bytes, a power of two of at least 1 GiB. It is shorter at
	// first: a quarter of the size below 4 GiB, and the size itself from there on, but no shorter than Least.
	Step, Least uint64
	// Target is the last size in bytes: the device, less a last group too small to be of use.
	Target uint64
}

const (
	// leastTables is how much of inode tables the shortest step writes. Under a heavy load each new group waits for
	// all writes that are already on their way to the device, and a writer fills a small filesystem meanwhile: so
	// the first steps are short, but not where a group has few inodes, which files use up as quickly.
	leastTables = 1 << 20
	shortBelow  = 4 << 30
	longStep    = 1 << 30

	// stepTables is how much of inode tables a step should write, all of it in one system call that cannot be
	// interrupted.
	stepTables = 16 << 20
	// maxSteps keeps the blocks few that are to be written before the mount, one for each step and each in a region
	// of the device that nothing else has touched yet: 0.2 to 0.4 ms. So steps on large devices are longer, up to
	// 160 MiB of inode tables and bitmaps with the default ratios.
	maxSteps = 32
)

// Growth plans the growth of a filesystem of this geometry on a device of that many bytes.
func (g Geometry) Growth(device uint64) Growth {
	step := uint64(longStep)
	for ; step < device/maxSteps || step*2/groupBytes*g.tableBytes() <= stepTables; step *= 2 {
		if step >= maxGrowTo {
			break
		}
	}
	least := uint64(groupBytes)
	for least < step && least/groupBytes*g.tableBytes() < leastTables {
		least *= 2
	}
	return Growth{Step: step, Least: least, Target: g.target(device)}
}

// Within is the size in bytes up to which a filesystem that can grow to a device of that many bytes has no more metadata
// than budget: inode tables, and copies of the descriptors with the room that is kept for those of the whole device.
func (g Geometry) Within(device, budget uint64) uint64 {
	copied := min(ceilDiv(device/groupBytes, descriptorsPerBlock), maxReserved) * BlockSize
	groups := uint64(0)
	for used := uint64(0); groups*groupBytes < device; groups++ {
		if used += g.tableBytes(); hasSuper(groups) {
			used += copied
		}
		if used > budget {
			break
		}
	}
	return groups * groupBytes
}

// target leaves out a last group that could not hold its own metadata and a little more. It must not depend on how
// far the filesystem has grown, so it counts a copy of all descriptors that there will be.
func (g Geometry) target(device uint64) uint64 {
	blocks := device / BlockSize
	groups, rest := blocks/blocksPerGroup, blocks%blocksPerGroup
	need := 2 + g.tableBytes()/BlockSize + spareBlocks
	if hasSuper(groups) {
		need += 1 + ceilDiv(groups+1, descriptorsPerBlock)
	}
	if groups > 0 && rest < need {
		blocks -= rest
	}
	return blocks * BlockSize
}

// Next returns the size in bytes to ask the kernel for when the filesystem has size bytes; false when it has them all.
func (g Growth) Next(size uint64) (next uint64, more bool) {
	if size >= g.Target {
		return size, false
	}
	step := min(g.Step, uint64(1)<<(bits.Len64(size)-1))
	if size < shortBelow {
		step /= 4
	}
	step = max(step, g.Least, groupBytes)
	return min((size/step+1)*step, g.Target), true
}

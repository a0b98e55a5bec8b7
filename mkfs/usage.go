package mkfs

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// Usage says which blocks of a filesystem hold what was once written to them. On a device that was never wiped these,
// and no other, can be read.
type Usage struct {
	Geometry
	// Unclean: the filesystem is mounted, or was not unmounted. While it is mounted nothing is wrong with that;
	// else a journal has to be replayed before the rest is to be believed.
	Unclean bool
	// Unreadable are the blocks of bitmaps, inode tables and extent trees that could not be read, ascending. What
	// only they tell is missing from the rest.
	Unreadable []uint64

	groups [][]byte // block bitmap of each group, without what was never written; nil: nothing
}

// Runs returns the runs of consecutive blocks in use, ascending: the first block of each, and how many there are, at
// most the 32768 of a group. What was allocated and never written, as fallocate(2) does it, is not among them.
func (u *Usage) Runs() iter.Seq2[uint64, uint64] {
	return func(yield func(first, count uint64) bool) {
		for group, bitmap := range u.groups {
			for run := nextRun(bitmap, 0); run.count > 0; run = nextRun(bitmap, run.end()) {
				if !yield(uint64(group)*blocksPerGroup+run.start, run.count) {
					return
				}
			}
		}
	}
}

// Used is the number of blocks in all runs.
func (u *Usage) Used() (blocks uint64) {
	for _, bitmap := range u.groups {
		for i := 0; i < len(bitmap); i += 8 {
			blocks += uint64(bits.OnesCount64(binary.LittleEndian.Uint64(bitmap[i:])))
		}
	}
	return blocks
}

// Uses reports whether a block is in one of the runs.
func (u *Usage) Uses(block uint64) bool {
	group := block / blocksPerGroup
	if group >= uint64(len(u.groups)) || u.groups[group] == nil {
		return false
	}
	return u.groups[group][block%blocksPerGroup/8]>>(block%8)&1 == 1
}

// leaveOut takes blocks out of the runs.
func (u *Usage) leaveOut(s span) {
	end := min(s.end(), u.Blocks)
	for block := s.start; block < end; {
		group := block / blocksPerGroup
		next := min(end, (group+1)*blocksPerGroup)
		if bitmap := u.groups[group]; bitmap != nil {
			clearBits(bitmap, block%blocksPerGroup, next-group*blocksPerGroup)
		}
		block = next
	}
}

// nextRun returns the first run of set bits at or behind bit from.
func nextRun(bitmap []byte, from uint64) span {
	start := nextBit(bitmap, from, 0)
	return span{start, nextBit(bitmap, start, ^uint64(0)) - start}
}

// nextBit returns the first bit at or behind from that is set in bitmap^mask, or the number of bits.
func nextBit(bitmap []byte, from, mask uint64) uint64 {
	end := uint64(len(bitmap)) * 8
	for from < end {
		word := (binary.LittleEndian.Uint64(bitmap[from/64*8:]) ^ mask) >> (from % 64)
		if word != 0 {
			return from + uint64(bits.TrailingZeros64(word))
		}
		from = (from/64 + 1) * 64
	}
	return end
}

// clearBits clears the bits [start, end) of a bitmap.
func clearBits(bitmap []byte, start, end uint64) {
	for ; start < end && start%8 != 0; start++ {
		bitmap[start/8] &^= 1 << (start % 8)
	}
	if whole := end / 8; start < end && start/8 < whole {
		clear(bitmap[start/8 : whole])
		start = whole * 8
	}
	for ; start < end; start++ {
		bitmap[start/8] &^= 1 << (start % 8)
	}
}

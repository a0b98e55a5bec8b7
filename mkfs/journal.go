package mkfs

import (
	"encoding/binary"

	"github.com/google/uuid"
)

const (
	minJournalBlocks = 1024 // 4 MiB: the kernel refuses less
	maxJournalBlocks = 16 << 10
)

// journalBlocks is the size of the journal: a 128th of the size that the filesystem grows to, rounded down to a power of
// two, 4 to 64 MiB, for all its blocks must be written and a commit can pin as much memory; and no more than a 32nd of
// what there is at first, if that leaves 4 MiB.
func journalBlocks(size, growTo uint64) uint64 {
	want := min(growTo/128, size/32) / BlockSize
	n := uint64(minJournalBlocks)
	for n < maxJournalBlocks && n*2 <= want {
		n *= 2
	}
	return n
}

// putJournalSuperblock writes the first block of an empty journal, version 2. All numbers are big-endian
// (journal_superblock_s in include/linux/jbd2.h). The kernel itself adds the 64bit feature when it mounts.
func putJournalSuperblock(block []byte, blocks uint64, id uuid.UUID) {
	be := binary.BigEndian
	be.PutUint32(block[0x00:], 0xC03B3998) // magic
	be.PutUint32(block[0x04:], 4)          // superblock, version 2
	be.PutUint32(block[0x0C:], BlockSize)
	be.PutUint32(block[0x10:], uint32(blocks)) // length
	be.PutUint32(block[0x14:], 1)              // first block of log
	be.PutUint32(block[0x18:], 1)              // first expected commit
	be.PutUint32(block[0x1C:], 0)              // start of log: empty
	copy(block[0x30:0x40], id[:])
	be.PutUint32(block[0x40:], 1) // one filesystem uses it
}

package storage

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/trusted-store/trusted-store/integrity"
)

// journalOf makes journals of dm-integrity as a host could: right in form, so that
// the kernel replays them, and wrong in everything that it does not check.
type journalOf struct {
	*rand.Rand
	sections int
	sectors  uint64   // of the data
	known    []uint64 // blocks that were written
	pairs    []pair   // what was once on the disk
	crooked  bool     // sectors within blocks too: dm-integrity takes no journal with one
}

// pair is a block as it was on the disk, with its tag.
type pair struct {
	number uint64
	data   []byte
	tag    []byte
}

const (
	sectionEntries = 32 // 4 in each of the first 8 sectors
	entrySize      = 104
	commitAt       = 504 // in each sector; in the data what was there is in the entry
)

func commitID(section, sector int, sequence byte) uint64 {
	return uint64(sequence+1)*0x1111111111111111 ^ (uint64(section)<<32 ^ uint64(sector))
}

// make returns a journal: of most all is replayed, or a part; one in eight is noise.
func (j *journalOf) make() []byte {
	b := make([]byte, j.sections*integrity.JournalSection*sectorSize)
	if j.IntN(8) == 0 {
		j.noise(b)
		return b
	}
	fill := j.IntN(101) // percent
	j.crooked = j.IntN(8) == 0
	for section := range j.sections {
		j.fillSection(b[section*integrity.JournalSection*sectorSize:], fill)
	}
	j.commit(b)
	return b
}

func (j *journalOf) noise(b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], j.Uint64())
	}
}

func (j *journalOf) fillSection(b []byte, fill int) {
	run := uint64(0)
	for n := range sectionEntries {
		entry := b[n%8*sectorSize+n/8*entrySize:][:entrySize]
		if j.IntN(100) >= fill {
			binary.LittleEndian.PutUint64(entry, 1<<64-1) // unused
			continue
		}
		p := j.pairs[j.IntN(len(j.pairs))]
		sector := p.number * (blockSize / sectorSize)
		switch j.IntN(8) {
		case 0:
			sector = j.anySector()
		case 1, 2:
			sector = run + blockSize/sectorSize // the kernel writes such a run at once
		case 3:
			sector = j.known[j.IntN(len(j.known))] * (blockSize / sectorSize)
		}
		run = sector
		binary.LittleEndian.PutUint64(entry, sector)
		j.fillEntry(entry, b[(8+n*8)*sectorSize:][:blockSize], p)
	}
}

// anySector is within the data or not.
func (j *journalOf) anySector() uint64 {
	sector := j.Uint64() >> j.IntN(64)
	switch j.IntN(4) {
	case 0:
		sector = j.Uint64N(j.sectors)
	case 1:
		sector = j.sectors - 16 + j.Uint64N(32)
	case 2:
		sector = (1<<32-1-j.Uint64N(3))<<32 | j.Uint64N(1<<32) // unused, in progress
	}
	if j.crooked {
		return sector
	}
	return sector &^ (blockSize/sectorSize - 1)
}

func (j *journalOf) fillEntry(entry, data []byte, p pair) {
	copy(data, p.data)
	copy(entry[72:], p.tag)
	switch j.IntN(8) {
	case 0:
		j.noise(data)
	case 1:
		data[j.IntN(blockSize)] ^= 1
	case 2:
		entry[72+j.IntN(32)] ^= 1
	}
	for s := range blockSize / sectorSize {
		copy(entry[8+8*s:], data[s*sectorSize+commitAt:][:8])
	}
}

// commit writes the commit numbers.
func (j *journalOf) commit(b []byte) {
	how, sequence := j.IntN(8), byte(j.IntN(4))
	from := j.IntN(j.sections + 1) // a run of sections up to there, and one of before
	for section := range j.sections {
		for sector := range integrity.JournalSection {
			of := sequence
			switch {
			case how == 0:
				of = byte(j.IntN(4))
			case how == 1:
				of = byte(section+int(sequence)) % 4
			case how == 2 && section >= from:
				of = (sequence + 3) % 4
			case how == 3 && section >= from && sector > 100: // cut while it was written
				of = (sequence + 3) % 4
			}
			at := (section*integrity.JournalSection+sector)*sectorSize + commitAt
			binary.LittleEndian.PutUint64(b[at:], commitID(section, sector, of))
		}
	}
	if j.IntN(8) == 0 {
		b[j.IntN(len(b)/sectorSize)*sectorSize+commitAt] ^= 1 << j.IntN(8)
	}
}

// superblock returns one of a host's: noise, or the right one with something else
// in some of its fields.
func (j *journalOf) superblock(right integrity.Superblock) []byte {
	b := right.Bytes()
	switch j.IntN(8) {
	case 0:
		j.noise(b)
	case 1:
		clear(b)
	default:
		b[24] |= byte(j.IntN(64)) // flags
		for range j.IntN(8) {
			b[8+j.IntN(56)] = byte(j.Uint64()) >> j.IntN(8)
		}
	}
	return b
}

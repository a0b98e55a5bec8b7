package integrity

import (
	"fmt"
	"math/bits"
)

// What does not vary in our layers.
const (
	// TagSize is the size of a tag in bytes: one HMAC-SHA256.
	TagSize = 32
	// BlockSize is the unit that has a tag, in bytes.
	BlockSize = 4096
	// SuperblockSize is the size of the superblock in bytes.
	SuperblockSize = superblockSectors * sectorSize

	sectorSize        = 512
	blockSectors      = BlockSize / sectorSize
	superblockSectors = 8
	log2Interleave    = 15
	interleave        = 1 << log2Interleave                              // data sectors between runs of tags
	metadataRun       = interleave / blockSectors * TagSize / sectorSize // sectors of tags in a run
	log2BitmapSectors = 15
)

// maxDeviceSectors keeps byte positions within a signed 64-bit number.
const maxDeviceSectors = 1<<63/sectorSize - 1

// Layout is where everything is on one device, or on two: the data on one of
// DeviceSectors, and superblock, journal and tags on another. All numbers are
// sectors of 512 bytes; positions count from the start of the device, Offset
// included.
type Layout struct {
	DeviceSectors   uint64  // size of the whole device that holds the data, in whole blocks
	Separate        bool    // all but the data is on a device of its own
	Offset          uint64  // of the superblock
	Journal         Journal // what was asked for
	JournalSections uint32  // fixed when the layer is formatted, however large the device becomes
	JournalSectors  uint64  // size of the journal
	InitialSectors  uint64  // superblock and journal: the first tags are at Offset + InitialSectors
	ProvidedSectors uint64  // size of the data, a multiple of 8: the length of the mapping
}

// Plan computes the layout of a device whose superblock is at sector offset (a
// multiple of 8). What is left beyond the last whole block of 4096 bytes is not used.
// A device too small for one block of data gives [ErrTooSmall].
//
// The data is cut into runs of 32768 sectors, each after 256 sectors with its
// tags; the last run is as long as the device allows.
func Plan(deviceSectors, offset uint64, j Journal) (Layout, error) {
	if j > MinimalJournal {
		return Layout{}, fmt.Errorf("%w: %v", ErrInvalid, j)
	}
	if deviceSectors > maxDeviceSectors || offset%blockSectors != 0 {
		return Layout{}, fmt.Errorf("%w: device of %d sectors, offset %d (want a multiple of %d)",
			ErrInvalid, deviceSectors, offset, blockSectors)
	}
	return plan(deviceSectors, offset, j, j.sections(deviceSectors))
}

// Resize plans the layout of the same layer on a device that has another size by
// now: the journal, and every block and tag of before, are where they were.
func (l Layout) Resize(deviceSectors uint64) (Layout, error) {
	if l.Separate || deviceSectors > maxDeviceSectors {
		return Layout{}, fmt.Errorf("%w: device of %d sectors; tags beside the data: %t", ErrInvalid, deviceSectors, !l.Separate)
	}
	return plan(deviceSectors, l.Offset, l.Journal, uint64(l.JournalSections))
}

func plan(deviceSectors, offset uint64, j Journal, sections uint64) (Layout, error) {
	deviceSectors &^= blockSectors - 1
	l := Layout{
		DeviceSectors:   deviceSectors,
		Offset:          offset,
		Journal:         j,
		JournalSections: uint32(sections),
		JournalSectors:  sections * JournalSection,
		InitialSectors:  superblockSectors + sections*JournalSection,
	}
	if used := offset + l.InitialSectors; used >= offset && used < deviceSectors {
		l.ProvidedSectors = provided(deviceSectors - used)
	}
	if l.ProvidedSectors == 0 {
		return Layout{}, fmt.Errorf("%w: %d sectors, sector %d and above are ours, at least %d are needed",
			ErrTooSmall, deviceSectors, offset, l.InitialSectors+metadataRun+blockSectors)
	}
	return l, nil
}

// PlanSeparate computes the layout of a device that holds nothing but data, with
// superblock, a minimal journal and all tags on another one, of
// [Layout.SeparateBytes]. A device too small for one block gives [ErrTooSmall].
func PlanSeparate(dataSectors uint64) (Layout, error) {
	if dataSectors > maxDeviceSectors {
		return Layout{}, fmt.Errorf("%w: device of %d sectors", ErrInvalid, dataSectors)
	}
	l := Layout{
		DeviceSectors:   dataSectors,
		Separate:        true,
		Journal:         MinimalJournal,
		JournalSections: 1,
		JournalSectors:  JournalSection,
		InitialSectors:  superblockSectors + JournalSection,
		ProvidedSectors: dataSectors &^ (blockSectors - 1),
	}
	if l.ProvidedSectors == 0 {
		return Layout{}, fmt.Errorf("%w: %d sectors, at least %d are needed", ErrTooSmall, dataSectors, blockSectors)
	}
	return l, nil
}

// provided returns the data sectors that fit into a number of sectors with
// their tags.
func provided(available uint64) uint64 {
	const whole = interleave + metadataRun
	data := available / whole * interleave
	if rest := available % whole; rest > metadataRun {
		data += rest - metadataRun
	}
	return data &^ (blockSectors - 1)
}

// TagSectors returns how many sectors hold tags.
func (l Layout) TagSectors() uint64 {
	if l.Separate {
		return ceilDiv(l.ProvidedSectors/blockSectors*TagSize, sectorSize)
	}
	return (l.ProvidedSectors + interleave - 1) / interleave * metadataRun
}

// DataSector returns the sector of the device that holds a data sector.
func (l Layout) DataSector(sector uint64) uint64 {
	if l.Separate {
		return sector
	}
	run := sector >> log2Interleave
	return l.Offset + l.InitialSectors + (run+1)*metadataRun + sector
}

// TagPosition returns the byte at which the tag of a data sector's block begins,
// of the device or, where that is separate, of the one with the tags.
func (l Layout) TagPosition(sector uint64) uint64 {
	if l.Separate {
		return l.InitialSectors*sectorSize + sector/blockSectors*TagSize
	}
	run, within := sector>>log2Interleave, sector%interleave
	start := l.Offset + l.InitialSectors + run*(interleave+metadataRun)
	return start*sectorSize + within/blockSectors*TagSize
}

// separateUnit is in what units the kernel reads and writes tags: 64 KiB, as
// buffer_sectors says. On a device that ends within one it takes smaller ones.
const separateUnit = bufferSectors * sectorSize

// SeparateBytes returns the size of the device that holds everything but the
// data; 0 unless the layout is separate.
func (l Layout) SeparateBytes() uint64 {
	if !l.Separate {
		return 0
	}
	tags := l.ProvidedSectors / blockSectors * TagSize
	return l.InitialSectors*sectorSize + ceilDiv(tags, separateUnit)*separateUnit
}

// SeparateSectors returns how much data, in sectors, the tags of so many bytes
// can be for, the opposite of [Layout.SeparateBytes].
func SeparateSectors(bytes uint64) uint64 {
	const initial = (superblockSectors + JournalSection) * sectorSize
	tags := bytes - min(bytes, initial)
	return tags / separateUnit * (separateUnit / TagSize) * blockSectors
}

func ceilDiv(a, b uint64) uint64 { return (a + b - 1) / b }

// log2BitmapBlocks is how many blocks a bit of the bitmap mode would stand for,
// as a power of 2. We never use that mode; the kernel writes the number anyway:
// the smallest from 12 with which the bits fit into the journal.
func (l Layout) log2BitmapBlocks() uint8 {
	room := min(l.JournalSectors*sectorSize*8, 1<<32-1)
	log := uint64(log2BitmapSectors)
	for room < (l.ProvidedSectors+1<<log-1)>>log {
		log++
	}
	return uint8(log) - uint8(bits.TrailingZeros(blockSectors))
}

package integrity

import "fmt"

// Journal is the size of the journal, fixed when the layer is formatted.
type Journal uint8

const (
	// DefaultJournal is the kernel's choice: 1/128 of the device, at most
	// 131072 sectors (64 MiB), in whole sections, at least one.
	DefaultJournal Journal = iota
	// MinimalJournal is one section of [JournalSection] sectors.
	MinimalJournal
)

// JournalSection is the size of a journal section in sectors: 4 entries of 104
// bytes in each of 8 sectors, and 8 sectors of data for each entry.
const JournalSection = 8*entriesPerSector*blockSectors + 8

const (
	entriesPerSector  = 4
	maxDefaultJournal = 131072 // sectors
	defaultJournalLog = 7      // 1/128 of the device
)

// maxSections is the largest default journal.
const maxSections = maxDefaultJournal / JournalSection

// String returns "default" or "minimal".
func (j Journal) String() string {
	switch j {
	case DefaultJournal:
		return "default"
	case MinimalJournal:
		return "minimal"
	}
	return fmt.Sprintf("journal %d", uint8(j))
}

// sections returns how many sections the kernel makes on a device.
func (j Journal) sections(deviceSectors uint64) uint64 {
	if j == MinimalJournal {
		return 1
	}
	return max(1, min(maxDefaultJournal, deviceSectors>>defaultJournalLog)/JournalSection)
}

// Mode is how data and tags are written; it may change at every activation.
type Mode uint8

const (
	// Journaled writes blocks and tags to the journal first: both or none
	// survive a crash.
	Journaled Mode = iota
	// Direct writes blocks and tags in their places: a crash can leave a block
	// unreadable.
	Direct
)

// String returns "journaled" or "direct".
func (m Mode) String() string {
	switch m {
	case Journaled:
		return "journaled"
	case Direct:
		return "direct"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

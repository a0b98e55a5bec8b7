package cryptsetup

// The layout of the metadata, in bytes. LUKS2 specification, section 2.
const (
	// DataOffset is where a volume's data starts: 16 MiB into the device.
	DataOffset = 16 << 20
	// MaxKeyslots is the number of key slots that a header may hold.
	MaxKeyslots = 8
	// SectorSize is the size of an encrypted sector.
	SectorSize = 4096

	binarySize   = 4096  // binary header of one copy
	copySize     = 16384 // one copy: binary header and JSON area
	jsonSize     = copySize - binarySize
	headersSize  = 2 * copySize // both copies; key-slot areas follow
	keyslotsSize = DataOffset - headersSize
	blockSize    = 4096 // unit of every read and write

	// regionSize covers both copies and eight areas of the largest kind.
	regionSize = headersSize + MaxKeyslots*areaSizeHMAC

	areaSizeHMAC = 385024 // 4000 stripes of 96 bytes, rounded up to 4096
	areaSizeNone = 258048 // 4000 stripes of 64 bytes, rounded up to 4096
	areaSizeAEAD = 65536  // 4000 stripes of 16 bytes, rounded up to 4096
)

// areaSize is the size of a key-slot area.
func areaSize(i Integrity) int { return i.suite().areaSize }

// areaOffset is where the n-th place for a key-slot area starts. A slot's
// number and its place may differ: cryptsetup uses the first free place.
func areaOffset(i Integrity, n int) int { return headersSize + n*areaSize(i) }

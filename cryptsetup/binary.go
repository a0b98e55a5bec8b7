package cryptsetup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/google/uuid"
)

// binaryHeader is the start of each copy, 4096 bytes, big-endian. LUKS2
// specification, section 2.1.
type binaryHeader struct {
	Magic     [6]byte
	Version   uint16
	HdrSize   uint64
	SeqID     uint64
	Label     [48]byte
	CsumAlg   [32]byte
	Salt      [64]byte
	UUID      [40]byte
	Subsystem [48]byte
	HdrOffset uint64
	Padding   [184]byte
	Csum      [64]byte
	Padding4K [7 * 512]byte
}

const csumOffset = 448 // of binaryHeader.Csum

var magics = [2][6]byte{{'L', 'U', 'K', 'S', 0xba, 0xbe}, {'S', 'K', 'U', 'L', 0xba, 0xbe}}

var copyNames = [2]string{"first copy", "second copy"}

// parseBinary reads the binary header of a copy of 16384 bytes.
func parseBinary(b []byte) binaryHeader {
	var h binaryHeader
	// A fixed-size struct and a longer slice: this cannot fail.
	_, _ = binary.Decode(b, binary.BigEndian, &h)
	return h
}

// encodeCopy returns a whole copy, with its checksum.
func encodeCopy(h binaryHeader, json []byte) []byte {
	h.Csum = [64]byte{}
	out := make([]byte, copySize)
	// A fixed-size struct and a longer slice: this cannot fail.
	_, _ = binary.Encode(out, binary.BigEndian, h)
	copy(out[binarySize:], json)
	sum := checksum(out)
	copy(out[csumOffset:], sum[:])
	return out
}

// checksum hashes a copy with its checksum field taken as zero.
func checksum(b []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(b[:csumOffset])
	h.Write(make([]byte, 64))
	h.Write(b[csumOffset+64 : copySize])
	return [sha256.Size]byte(h.Sum(nil))
}

// padded returns a string field without its NULs; ok is false when there is
// something behind the first of them.
func padded(field []byte) (s string, ok bool) {
	text, rest, _ := bytes.Cut(field, []byte{0})
	return string(text), strings.Trim(string(rest), "\x00") == ""
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// volumeUUID parses the UUID field, which must be spelled canonically.
func (h *binaryHeader) volumeUUID() (uuid.UUID, error) {
	s, ok := padded(h.UUID[:])
	id, err := uuid.Parse(s)
	if !ok || err != nil || id.String() != s || id == uuid.Nil {
		return uuid.Nil, fmt.Errorf("found %s, expected a lower-case UUID and NULs", quote(s))
	}
	return id, nil
}

// checkBinary compares copy n, of which b is all, with the profile.
func checkBinary(h *binaryHeader, b []byte, n int, p Profile, f *faults) {
	where := copyNames[n]
	if h.Magic != magics[n] {
		f.add("binary.magic", where, "found %s, expected %s", quote(string(h.Magic[:])), quote(string(magics[n][:])))
		return // nothing here was meant as a header
	}
	if h.Version != 2 {
		f.add("binary.version", where, "found %d, expected 2", h.Version)
		return // fields of another version mean something else
	}
	checkBinaryNumbers(h, n, f)
	checkBinaryText(h, where, f)
	if id, err := h.volumeUUID(); err != nil {
		f.add("binary.uuid", where, "%v", err)
	} else if p.ExpectUUID != uuid.Nil && id != p.ExpectUUID {
		f.add(RuleUUID, where, "found %s, expected %s", id, p.ExpectUUID)
	}
	if !isZero(h.Padding[:]) || !isZero(h.Padding4K[:]) {
		f.add("binary.padding", where, "padding is not zero")
	}
	sum := checksum(b)
	if !bytes.Equal(sum[:], h.Csum[:sha256.Size]) || !isZero(h.Csum[sha256.Size:]) {
		f.add(RuleChecksum, where, "found %x, expected %x and zeros", h.Csum[:sha256.Size], sum)
	}
}

func checkBinaryNumbers(h *binaryHeader, n int, f *faults) {
	where := copyNames[n]
	if h.HdrSize != copySize {
		f.add("binary.hdr_size", where, "found %d, expected %d", h.HdrSize, copySize)
	}
	if want := uint64(n * copySize); h.HdrOffset != want {
		f.add("binary.hdr_offset", where, "found %d, expected %d", h.HdrOffset, want)
	}
	if h.SeqID > math.MaxInt64 {
		f.add("binary.seqid", where, "found %d, which leaves no room for later headers", h.SeqID)
	}
}

func checkBinaryText(h *binaryHeader, where string, f *faults) {
	if alg, ok := padded(h.CsumAlg[:]); alg != "sha256" || !ok {
		f.add("binary.csum_alg", where, "found %s, expected \"sha256\" and NULs", quote(alg))
	}
	checkLabel(h.Label[:], "binary.label", where, f)
	checkLabel(h.Subsystem[:], "binary.subsystem", where, f)
}

// checkLabel accepts any text that ends before its field does, as cryptsetup
// writes it: label and subsystem are shown, and used for nothing.
func checkLabel(field []byte, rule, where string, f *faults) {
	if text, ok := padded(field); !ok || len(text) == len(field) {
		f.add(rule, where, "found %s, expected at most %d bytes and NULs",
			quote(strings.TrimRight(string(field), "\x00")), len(field)-1)
	}
}

// sameLabels reports whether two copies have one label and one subsystem.
func (h *binaryHeader) sameLabels(other *binaryHeader) bool {
	return h.Label == other.Label && h.Subsystem == other.Subsystem
}

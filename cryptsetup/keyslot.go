package cryptsetup

import (
	"fmt"
	"strconv"
)

// Keyslot is one key slot of a header. LUKS2 specification, section 3.2.
type Keyslot struct {
	// ID is the slot's number, 0 to 7.
	ID int `json:"id"`
	// KDF is how a passphrase becomes the slot's key.
	KDF KDF `json:"kdf"`
	// Offset and Size are where the wrapped volume key is, in bytes.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`

	salt []byte
	area []byte // the encrypted bytes at Offset
}

// String returns the number and the key derivation.
func (s Keyslot) String() string { return fmt.Sprintf("key slot %d: %v", s.ID, s.KDF) }

const (
	areaKeySize = 64 // AES-256-XTS
	saltSize    = 32
)

func (s *Keyslot) encode(e *encoder, i Integrity) {
	e.object(strconv.Itoa(s.ID), func() {
		e.text("type", "luks2")
		e.number("key_size", uint64(VolumeKeySize(i)))
		e.object("af", func() {
			e.text("type", "luks1")
			e.number("stripes", afStripes)
			e.text("hash", "sha256")
		})
		e.object("area", func() {
			e.text("type", "raw")
			e.decimal("offset", uint64(s.Offset))
			e.decimal("size", uint64(s.Size))
			e.text("encryption", "aes-xts-plain64")
			e.number("key_size", areaKeySize)
		})
		e.object("kdf", func() { s.KDF.encode(e, s.salt) })
	})
}

// keyslots reads all key slots and checks that no two share an area.
func (w *walker) keyslots(n *node, m *metadata) {
	all := w.object(n, "keyslot", "keyslots")
	if all.n == nil {
		return
	}
	if m.sizeOnly = w.isSizeOnly(all.n); m.sizeOnly {
		w.sizeOnly(w.object(all.n.vals[0], "keyslot", step("keyslots", sizeOnlyID)), m.integrity)
		return
	}
	taken := map[int64]int{}
	seen := map[int]bool{} // a second member of one name is a duplicate key already
	for j, key := range all.n.keys {
		path := step("keyslots", key)
		id, ok := slotNumber(key)
		if !ok {
			w.add("keyslot.id", path, "found %s, expected \"0\" to \"%d\"", quote(key), MaxKeyslots-1)
			continue
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		s := w.keyslot(w.object(all.n.vals[j], "keyslot", path), id, m.integrity)
		if other, dup := taken[s.Offset]; dup && s.Offset != 0 {
			w.add("keyslot.area.overlap", path, "area at %d is also that of key slot %d", s.Offset, other)
		}
		taken[s.Offset] = id
		m.keyslots = append(m.keyslots, s)
	}
}

func slotNumber(key string) (int, bool) {
	if len(key) == 1 && '0' <= key[0] && key[0] < '0'+MaxKeyslots {
		return int(key[0] - '0'), true
	}
	return 0, false
}

// keyslot reads one key slot. A slot of another type has other members, so
// only its type is reported.
func (w *walker) keyslot(o *object, id int, i Integrity) Keyslot {
	s := Keyslot{ID: id}
	if !o.is("type", "luks2") {
		return s
	}
	o.isNumber("key_size", uint64(VolumeKeySize(i)))
	af := o.child("af")
	if af.is("type", "luks1") {
		af.isNumber("stripes", afStripes)
		af.is("hash", "sha256")
		af.done()
	}
	if area := o.child("area"); area.is("type", "raw") {
		s.Size = int64(areaSize(i))
		area.isDecimal("size", uint64(s.Size))
		s.Offset = w.areaPlace(area, i)
		area.is("encryption", "aes-xts-plain64")
		area.isNumber("key_size", areaKeySize)
		area.done()
	}
	s.KDF, s.salt = w.kdf(o.child("kdf"))
	o.done("priority")
	return s
}

// areaPlace returns the offset of an area, which must be one of the eight
// places: areas of one size that are filled from the front are nowhere else,
// cannot overlap in part, and lie inside the one read.
func (w *walker) areaPlace(area *object, i Integrity) int64 {
	offset, ok := area.decimal("offset")
	if !ok {
		return 0
	}
	for n := range MaxKeyslots {
		if offset == uint64(areaOffset(i, n)) {
			return int64(offset)
		}
	}
	area.refuse("offset", "found %d, expected %d plus 0 to %d times %d",
		offset, headersSize, MaxKeyslots-1, areaSize(i))
	return 0
}

// cut takes the slot's area out of the bytes that were read.
func (s *Keyslot) cut(region []byte, f *faults) {
	end := s.Offset + s.Size
	if s.Offset == 0 || s.Size == 0 {
		return // reported by the walk
	}
	if end > int64(len(region)) {
		f.add("keyslot.area.truncated", fmt.Sprintf("keyslots.%d", s.ID),
			"area ends at byte %d, the input has %d bytes", end, len(region))
		return
	}
	s.area = region[s.Offset:end:end]
}

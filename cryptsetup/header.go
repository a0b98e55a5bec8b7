package cryptsetup

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Header is the metadata of one volume, inside the profile. It holds no
// secrets: its key slots are encrypted. It is not safe for concurrent use.
type Header struct {
	uuid    uuid.UUID
	seqID   uint64
	labels  labels
	meta    metadata
	profile Profile
	image   []byte         // both copies, as they are or will be on the device
	wiped   map[int64]bool // places of removed slots, to overwrite
	stale   []int64        // other places that no slot uses, and where something is
	changed bool           // since the token was made
}

// labels are texts for other tools, which a change of the header keeps.
type labels struct{ label, subsystem [48]byte }

// Options are what a new header may differ in. The zero value is right for a
// new volume with integrity.
type Options struct {
	// UUID of the volume; zero for a random one.
	UUID uuid.UUID
	// Integrity must be that of the key.
	Integrity Integrity
}

// New makes the header of a new volume with this key, without key slots. It
// touches no device. The key must have the integrity of the options, or the
// error is [ErrVolumeKeyMismatch].
func New(key *VolumeKey, o Options) (*Header, error) {
	if !o.Integrity.valid() || key.Len() != VolumeKeySize(o.Integrity) {
		return nil, fmt.Errorf("new header: key of %d bytes, integrity %v: %w", key.Len(), o.Integrity, ErrVolumeKeyMismatch)
	}
	id := o.UUID
	if id == uuid.Nil {
		var err error
		if id, err = uuid.NewRandom(); err != nil {
			return nil, fmt.Errorf("new header: %w", err)
		}
	}
	d, err := newDigest(key)
	if err != nil {
		return nil, fmt.Errorf("new header: %w", err)
	}
	h := &Header{
		uuid:    id,
		meta:    metadata{integrity: o.Integrity, sizeOnly: true, digest: d},
		profile: Profile{Integrity: Require(o.Integrity)},
	}
	return h, h.advance()
}

// advance makes the image of the next header: a sequence number higher by one
// and fresh salts.
func (h *Header) advance() error {
	h.seqID++
	json := h.meta.encode()
	h.image = make([]byte, 0, headersSize)
	for n := range magics {
		b := binaryHeader{Magic: magics[n], Version: 2, HdrSize: copySize, SeqID: h.seqID, HdrOffset: uint64(n * copySize)}
		copy(b.CsumAlg[:], "sha256")
		copy(b.UUID[:], h.uuid.String())
		b.Label, b.Subsystem = h.labels.label, h.labels.subsystem
		if _, err := rand.Read(b.Salt[:]); err != nil {
			return fmt.Errorf("salt of the header: %w", err)
		}
		h.image = append(h.image, encodeCopy(b, json)...)
	}
	return nil
}

// change is advance after a change that a token must follow.
func (h *Header) change() error {
	h.changed = h.meta.token != nil
	return h.advance()
}

// UUID returns the volume's UUID.
func (h *Header) UUID() uuid.UUID { return h.uuid }

// Integrity returns how the volume's sectors are authenticated.
func (h *Header) Integrity() Integrity { return h.meta.integrity }

// SeqID returns the sequence number, which grows with every change.
func (h *Header) SeqID() uint64 { return h.seqID }

// Keyslots returns the key slots, ascending by number.
func (h *Header) Keyslots() []Keyslot {
	slots := slices.Clone(h.meta.keyslots)
	slices.SortFunc(slots, func(a, b Keyslot) int { return a.ID - b.ID })
	return slots
}

// Fingerprint returns the SHA-256 of the first 32,768 bytes of the device: both
// copies as [Read] found them, or as [Header.Write] writes them. Kept where the
// host cannot change it, as Profile.ExpectFingerprint it detects that the host put
// back an old header. It changes with every key that is added or removed. `head -c 32768 DEVICE | sha256sum` prints the same.
func (h *Header) Fingerprint() [sha256.Size]byte { return sha256.Sum256(h.image) }

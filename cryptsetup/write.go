package cryptsetup

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Write puts the header on the device: the key-slot areas, the first copy, the
// second copy, and random bytes over the areas of removed slots, and over whatever
// lies where no slot is. It writes whole 4096-byte blocks at multiples of 4096 from
// aligned memory, so the device may be open with O_DIRECT, and nothing outside the
// metadata. It may be repeated after an error.
//
// Write does not flush. That is right for a new volume, which is worth nothing
// until it is complete; a volume that holds data needs [Header.WriteSync].
//
// A header that was authenticated, and changed since, is [ErrNotRenewed].
func (h *Header) Write(w io.WriterAt) error {
	return h.write(w, func() error { return nil })
}

// SyncWriter is a device that can be flushed; *[os.File] is one.
type SyncWriter interface {
	io.WriterAt
	Sync() error
}

// WriteSync is Write with a flush after each of its steps, so that after a
// power cut at least one copy is whole, and the key slots that it lists are on
// the device. The other copy may be damaged or older, and then [Read] rejects
// the header until an operator has called for [Recover].
func (h *Header) WriteSync(w SyncWriter) error { return h.write(w, w.Sync) }

func (h *Header) write(w io.WriterAt, flush func() error) error {
	if h.changed {
		return fmt.Errorf("write LUKS2 header: %w", ErrNotRenewed)
	}
	steps := []func(io.WriterAt) error{
		h.writeAreas,
		func(w io.WriterAt) error { return h.writeCopy(w, 0) },
		func(w io.WriterAt) error { return h.writeCopy(w, 1) },
		h.writeNoise, // last: until here the old header may be all there is
	}
	for _, step := range steps {
		if err := step(w); err != nil {
			return fmt.Errorf("write LUKS2 header: %w", err)
		}
		if err := flush(); err != nil {
			return fmt.Errorf("write LUKS2 header: flush: %w", err)
		}
	}
	h.wiped, h.stale = nil, nil
	return nil
}

// writeCopy writes the block with the magic last: a process that is killed in between
// leaves nothing that looks like a header and is none.
func (h *Header) writeCopy(w io.WriterAt, n int) error {
	at := n * copySize
	for _, part := range [][2]int{{at + binarySize, at + copySize}, {at, at + binarySize}} {
		if _, err := w.WriteAt(alignedCopy(h.image[part[0]:part[1]]), int64(part[0])); err != nil {
			return fmt.Errorf("%s: %w", copyNames[n], err)
		}
	}
	return nil
}

func (h *Header) writeAreas(w io.WriterAt) error {
	for _, s := range h.Keyslots() {
		if _, err := w.WriteAt(alignedCopy(s.area), s.Offset); err != nil {
			return fmt.Errorf("key slot %d: %w", s.ID, err)
		}
	}
	return nil
}

// writeNoise overwrites the areas of removed slots, also of those that a change of
// before removed and left.
func (h *Header) writeNoise(w io.WriterAt) error {
	for _, offset := range h.unusedAreas() {
		noise := alignedBytes(areaSize(h.meta.integrity))
		if _, err := rand.Read(noise); err != nil {
			return err
		}
		if _, err := w.WriteAt(noise, offset); err != nil {
			return fmt.Errorf("overwrite removed key slot: %w", err)
		}
	}
	return nil
}

func (h *Header) unusedAreas() []int64 {
	offsets := slices.Collect(maps.Keys(h.wiped))
	for _, at := range h.stale {
		if !h.taken(at) { // by a new slot
			offsets = append(offsets, at)
		}
	}
	slices.Sort(offsets)
	return offsets
}

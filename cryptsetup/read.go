package cryptsetup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Read reads the header of a volume and judges it. It reads once, from offset 0
// to at most 3,112,960 bytes, into 4096-aligned memory (O_DIRECT works), and
// uses nothing but those bytes afterwards, also in [Header.Unlock].
//
// A header outside the profile is a *[RejectedError] with every violation. A
// device that cannot be read gives the error of r.
func Read(r io.ReaderAt, p Profile) (*Header, error) {
	b, err := readRegion(r)
	if err != nil {
		return nil, err
	}
	e := examine(b, p)
	if err := e.err(); err != nil {
		return nil, err
	}
	return e.header(0), nil
}

func readRegion(r io.ReaderAt) ([]byte, error) {
	b := alignedBytes(regionSize)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read LUKS2 header: %w", err)
	}
	return b[:n], nil
}

// header makes a Header of an examination that found no violation in copy n.
func (e *examination) header(n int) *Header {
	id, _ := e.copies[n].volumeUUID() // checked by the examination
	h := &Header{
		uuid:    id,
		seqID:   e.copies[n].SeqID,
		labels:  labels{e.copies[n].Label, e.copies[n].Subsystem},
		meta:    e.meta,
		profile: e.profile,
		image:   slices.Clone(e.input[:headersSize]),
	}
	for i := range h.meta.keyslots {
		s := &h.meta.keyslots[i]
		s.area = slices.Clone(s.area)
	}
	h.noteStale(e.input)
	return h
}

// noteStale finds the places that hold something and belong to no slot: a change that
// was cut off before its end may have left a removed slot there.
func (h *Header) noteStale(region []byte) {
	for n := range MaxKeyslots {
		i := h.meta.integrity
		at := areaOffset(i, n)
		area := region[min(at, len(region)):min(at+areaSize(i), len(region))]
		if !h.taken(int64(at)) && !blank(area) {
			h.stale = append(h.stale, int64(at))
		}
	}
}

// blank reports whether there are zeros only.
func blank(b []byte) bool {
	var zeros [blockSize]byte
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

// Offsets of the fields of a binary header, and sizes.
const (
	offMagic, offVersion, offHdrSize, offSeqID, offLabel = 0, 6, 8, 16, 24
	offCsumAlg, offSalt, offUUID, offSubsystem           = 72, 104, 168, 208
	offHdrOffset, offPadding, offCsum, offPadding4K      = 256, 264, 448, 512

	binarySize = 4096
	copySize   = 16384
)

// image is the start of a device while it is changed.
type image struct {
	b    []byte // both copies
	tail int
	err  error
}

// mutation makes a hostile header of a good one.
type mutation struct {
	name, about string
	rules       string // violations expected, separated by spaces
	base        string // ours-hmac when empty
	integrity   string // rule to read with, that of the base when empty
	change      func(*image)
}

func (m mutation) apply(good []*vector.Vector) (*vector.Vector, error) {
	base := m.base
	if base == "" {
		base = "ours-hmac"
	}
	i := slices.IndexFunc(good, func(v *vector.Vector) bool { return v.Name == base })
	if i < 0 {
		return nil, fmt.Errorf("no good vector %s", base)
	}
	v := *good[i]
	img := &image{b: slices.Clone(v.Bytes), tail: v.Tail}
	m.change(img)
	if img.err != nil {
		return nil, img.err
	}
	if bytes.Equal(img.b, v.Bytes) && img.tail == v.Tail && m.integrity == "" {
		return nil, errors.New("nothing changed")
	}
	v.Name, v.About, v.Base, v.Bytes, v.Tail = m.name, m.about, base, img.b, img.tail
	v.Rules = strings.Fields(m.rules)
	slices.Sort(v.Rules)
	if m.integrity != "" {
		v.Integrity = m.integrity
	}
	return &v, nil
}

// at returns copy n.
func (i *image) at(n int) []byte { return i.b[n*copySize : (n+1)*copySize] }

// sum makes the checksums right.
func (i *image) sum() {
	for n := range 2 {
		b := i.at(n)
		clear(b[offCsum : offCsum+64])
		s := sha256.Sum256(b)
		copy(b[offCsum:], s[:])
	}
}

func (i *image) json(n int) string {
	text, _, _ := strings.Cut(string(i.at(n)[binarySize:]), "\x00")
	return text
}

// setJSON replaces the JSON area of copy n, padded with NUL.
func (i *image) setJSON(n int, text string) {
	area := i.at(n)[binarySize:]
	if len(text) > len(area) {
		i.err = fmt.Errorf("JSON of %d bytes does not fit", len(text))
		return
	}
	clear(area[copy(area, text):])
}

// both makes a change to both copies and then makes the checksums right.
func both(f func(b []byte, n int)) func(*image) {
	return func(i *image) {
		for n := range 2 {
			f(i.at(n), n)
		}
		i.sum()
	}
}

// one makes a change to copy n and then makes the checksums right.
func one(n int, f func(b []byte)) func(*image) {
	return func(i *image) { f(i.at(n)); i.sum() }
}

// field writes a text over a field of the given size, NUL-padded.
func field(off, size int, text string) func([]byte, int) {
	return func(b []byte, _ int) { clear(b[off : off+size]); copy(b[off:off+size], text) }
}

func u16(off int, v uint16) func([]byte, int) {
	return func(b []byte, _ int) { binary.BigEndian.PutUint16(b[off:], v) }
}

func u64(off int, v uint64) func([]byte, int) {
	return func(b []byte, _ int) { binary.BigEndian.PutUint64(b[off:], v) }
}

// text replaces the JSON text of both copies.
func text(f func(string) string) func(*image) {
	return func(i *image) {
		for n := range 2 {
			i.setJSON(n, f(i.json(n)))
		}
		i.sum()
	}
}

// swap replaces one part of the JSON text, which must be there exactly once,
// in both copies.
func swap(from, to string) func(*image) {
	return func(i *image) {
		if c := strings.Count(i.json(0), from); c != 1 {
			i.err = fmt.Errorf("%q is in the JSON text %d times", from, c)
			return
		}
		text(func(s string) string { return strings.Replace(s, from, to, 1) })(i)
	}
}

// cut replaces what is between two parts of the JSON text, the first of which
// must be there exactly once.
func cut(from, to, with string) func(*image) {
	return func(i *image) {
		s := i.json(0)
		_, rest, _ := strings.Cut(s, from)
		part, _, ok := strings.Cut(rest, to)
		if !ok || strings.Count(s, from) != 1 {
			i.err = fmt.Errorf("%q ... %q is not in the JSON text once", from, to)
			return
		}
		text(func(s string) string { return strings.Replace(s, from+part+to, from+with+to, 1) })(i)
	}
}

// steps makes one change after the other.
func steps(changes ...func(*image)) func(*image) {
	return func(i *image) {
		for _, change := range changes {
			change(i)
		}
	}
}

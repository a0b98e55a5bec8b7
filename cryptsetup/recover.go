package cryptsetup

import (
	"bytes"
	"io"
)

// Recover reads a header of which one copy is damaged or behind the other, as
// a power cut during [Header.Write] leaves it, and which [Read] therefore
// rejects. Whichever copy is used obeys the profile in full; of two good ones
// it is the one with the higher sequence number.
//
// Nothing is written: the caller unlocks the header, to see that it still
// opens, and then calls [Header.WriteSync], which makes both copies equal.
//
// It is never called on the way to opening a volume. The host chooses which of
// the two copies survives, and can so bring back a key slot that was being
// removed when the power went, so this is for an operator who knows of the power cut.
//
// A header that Read accepts is returned as it is. When neither copy can be
// used the error is that of Read.
func Recover(r io.ReaderAt, p Profile) (*Header, error) {
	b, err := readRegion(r)
	if err != nil {
		return nil, err
	}
	both := examine(b, p)
	if !both.any() {
		return both.header(0), nil
	}
	n, e := newerCopy(b, p)
	if e == nil {
		return nil, both.err()
	}
	h := e.header(n)
	return h, h.advance()
}

// newerCopy returns the copy to use, or nil. Two good copies of one sequence
// number that differ are not what a torn write leaves.
func newerCopy(b []byte, p Profile) (int, *examination) {
	first, second := examineCopy(b, 0, p), examineCopy(b, 1, p)
	good := [2]bool{!first.any(), !second.any()}
	seq := [2]uint64{first.copies[0].SeqID, first.copies[1].SeqID}
	switch {
	case good[0] && good[1]:
		same := bytes.Equal(first.jsonArea(0), first.jsonArea(1)) && first.copies[0].sameLabels(&first.copies[1])
		if first.copies[0].UUID != first.copies[1].UUID || seq[0] == seq[1] && !same {
			return 0, nil
		}
		if seq[1] > seq[0] {
			return 1, second
		}
		return 0, first
	case good[0]:
		return 0, first
	case good[1]:
		return 1, second
	}
	return 0, nil
}

package cryptsetup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// CopyChoice says which of the two copies of a header [RecoverFrom] uses.
type CopyChoice uint8

const (
	// NewerCopy is the one that is right, and of two that are right the one with
	// the higher sequence number.
	NewerCopy CopyChoice = iota
	// FirstCopy is the one at byte 0, whatever the other is.
	FirstCopy
	// SecondCopy is the one at byte 16384, whatever the other is.
	SecondCopy
)

// String returns "newer copy", "first copy" or "second copy".
func (c CopyChoice) String() string {
	if c == NewerCopy {
		return "newer copy"
	}
	return copyNames[c-FirstCopy]
}

// ErrCopiesDiffer: both copies are right, and neither is the newer one: they have the
// same sequence number, or are of different volumes. No power cut leaves that. It is
// also an [ErrHeaderRejected].
var ErrCopiesDiffer = errors.New("both copies of the header are right, and differ")

// Recover reads a header of which one copy is damaged or behind the other, as
// a power cut during [Header.Write] leaves it, and which [Read] therefore
// rejects. Whichever copy is used obeys the profile in full; of two good ones
// it is the one with the higher sequence number. Two good ones without a higher
// number are [ErrCopiesDiffer].
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
	h, _, err := RecoverFrom(r, p, NewerCopy)
	return h, err
}

// RecoverFrom is [Recover] with the copy that the caller says. It returns which was
// used; that is NewerCopy when the header is whole and there was nothing to choose.
func RecoverFrom(r io.ReaderAt, p Profile, choice CopyChoice) (*Header, CopyChoice, error) {
	b, err := readRegion(r)
	if err != nil {
		return nil, choice, err
	}
	both := examine(b, p)
	if !both.any() {
		return both.header(0), NewerCopy, nil
	}
	copies := [2]*examination{examineCopy(b, 0, p), examineCopy(b, 1, p)}
	if choice == NewerCopy {
		if choice, err = newer(copies, both); err != nil {
			return nil, choice, err
		}
	}
	n := int(choice - FirstCopy)
	if err := copies[n].err(); err != nil {
		return nil, choice, err
	}
	h := copies[n].header(n)
	h.seqID = max(h.seqID, copies[0].usableSeqID(0), copies[1].usableSeqID(1))
	return h, choice, h.advance()
}

// usableSeqID is the number of a copy that is right, and else 0.
func (e *examination) usableSeqID(n int) uint64 {
	if e.any() {
		return 0
	}
	return e.copies[n].SeqID
}

// newer returns the copy to use.
func newer(copies [2]*examination, both *examination) (CopyChoice, error) {
	first, second := copies[0], copies[1]
	switch good := [2]bool{!first.any(), !second.any()}; good {
	case [2]bool{true, false}:
		return FirstCopy, nil
	case [2]bool{false, true}:
		return SecondCopy, nil
	case [2]bool{}:
		return NewerCopy, both.err()
	}
	seq := [2]uint64{first.copies[0].SeqID, first.copies[1].SeqID}
	same := bytes.Equal(first.jsonArea(0), first.jsonArea(1)) && first.copies[0].sameLabels(&first.copies[1])
	switch {
	case first.copies[0].UUID != first.copies[1].UUID || seq[0] == seq[1] && !same:
		return NewerCopy, fmt.Errorf("%w: %w", ErrCopiesDiffer, both.err())
	case seq[1] > seq[0]:
		return SecondCopy, nil
	}
	return FirstCopy, nil
}

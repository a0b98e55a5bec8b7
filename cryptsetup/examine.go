package cryptsetup

import (
	"bytes"
	"crypto/sha256"
)

// examination is what the bytes of a device's metadata hold, and everything in
// it that is outside the profile.
type examination struct {
	walker
	input  []byte
	copies [2]binaryHeader
	whole  [2]bool // copy is inside the input
	root   *node   // JSON of the copy that was walked, nil when it has no meaning
	meta   metadata
}

// examine applies every rule to the bytes of the metadata. It does no I/O, and
// its cost is bounded by the size of the two copies.
func examine(b []byte, p Profile) *examination {
	e := newExamination(b, p)
	if !e.found() {
		return e
	}
	for n := range e.copies {
		if e.whole[n] {
			checkBinary(&e.copies[n], e.copy(n), n, p, &e.faults)
		}
	}
	e.compare()
	e.checkFingerprint()
	if n, ok := e.primary(); ok {
		e.walkCopy(n)
	}
	return e
}

// examineCopy applies every rule that concerns one copy alone.
func examineCopy(b []byte, n int, p Profile) *examination {
	e := newExamination(b, p)
	if !e.whole[n] {
		e.add(RuleHeaderTruncated, copyNames[n], "input has %d bytes", len(b))
		return e
	}
	checkBinary(&e.copies[n], e.copy(n), n, p, &e.faults)
	e.checkFingerprint()
	e.walkCopy(n)
	return e
}

func newExamination(b []byte, p Profile) *examination {
	e := &examination{walker: walker{profile: p}, input: b}
	for n := range e.copies {
		if e.whole[n] = len(b) >= (n+1)*copySize; e.whole[n] {
			e.copies[n] = parseBinary(e.copy(n))
		}
	}
	return e
}

func (e *examination) copy(n int) []byte { return e.input[n*copySize : (n+1)*copySize] }

func (e *examination) jsonArea(n int) []byte { return e.copy(n)[binarySize:] }

// hasMagic reports whether copy n starts with its magic, also when the input
// ends soon after.
func (e *examination) hasMagic(n int) bool {
	return len(e.input) > n*copySize && bytes.HasPrefix(e.input[n*copySize:], magics[n][:])
}

// found reports whether there is a LUKS2 header to judge. A header of another
// version is reported as that and nothing else.
func (e *examination) found() bool {
	switch {
	case len(e.input) == 0:
		e.add(RuleHeaderNone, "", "input is empty")
		return false
	case !e.hasMagic(0) && !e.hasMagic(1):
		e.add(RuleHeaderNone, "", "no LUKS magic at byte 0 and at byte %d", copySize)
		return false
	case e.whole[0] && e.hasMagic(0) && e.copies[0].Version != 2:
		e.add("binary.version", copyNames[0], "found %d, expected 2", e.copies[0].Version)
		return false
	case len(e.input) < headersSize:
		e.add(RuleHeaderTruncated, "", "input has %d bytes, both copies need %d", len(e.input), headersSize)
	}
	return true
}

// compare checks what both copies must agree on.
func (e *examination) compare() {
	if !e.whole[1] || !e.hasMagic(0) || !e.hasMagic(1) {
		return
	}
	first, second := &e.copies[0], &e.copies[1]
	if first.SeqID != second.SeqID {
		e.add(RuleSeqID, "", "first copy has %d, second %d; see Recover", first.SeqID, second.SeqID)
	}
	if first.UUID != second.UUID {
		e.add("copies.uuid", "", "the UUID fields differ")
	}
	if first.Label != second.Label {
		e.add("copies.label", "", "the labels differ")
	}
	if first.Subsystem != second.Subsystem {
		e.add("copies.subsystem", "", "the subsystems differ")
	}
	if !bytes.Equal(e.jsonArea(0), e.jsonArea(1)) {
		e.add("copies.json", "", "the JSON areas differ")
	}
}

// checkFingerprint compares both copies with those that the caller knows.
func (e *examination) checkFingerprint() {
	want := e.profile.ExpectFingerprint
	if want == [sha256.Size]byte{} || len(e.input) < headersSize {
		return // without a whole header there is another violation
	}
	if sum := sha256.Sum256(e.input[:headersSize]); sum != want {
		e.add(RuleFingerprint, "", "found %x, expected %x", sum, want)
	}
}

// primary is the copy whose JSON is walked.
func (e *examination) primary() (n int, ok bool) {
	if e.hasMagic(0) {
		return 0, e.whole[0]
	}
	return 1, e.whole[1]
}

func (e *examination) walkCopy(n int) {
	text := jsonText(e.jsonArea(n), &e.faults, copyNames[n])
	if e.root = parseJSON(text, &e.faults); e.root == nil {
		return
	}
	e.meta = e.metadata(e.root)
	for i := range e.meta.keyslots {
		e.meta.keyslots[i].cut(e.input, &e.faults)
	}
}

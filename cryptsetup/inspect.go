package cryptsetup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Report is everything that a header says, and the profile's verdict. All text
// from the header in it is quoted where it is not plain ASCII, and cut to a
// bounded length, so it may be printed to a terminal.
type Report struct {
	// ProfileVersion is the version of the rules.
	ProfileVersion int `json:"profile_version"`
	// Accepted is the verdict: there are no violations.
	Accepted bool `json:"accepted"`
	// Violations are the ways in which the header is outside the profile.
	Violations []Violation `json:"violations"`
	// UUID and Integrity are set when the header is accepted.
	UUID      string `json:"uuid,omitempty"`
	Integrity string `json:"integrity,omitempty"`
	// Keyslots are set when the header is accepted.
	Keyslots []Keyslot `json:"keyslots,omitempty"`
	// Epoch is set when the header is accepted and has a token that authenticates it.
	// Only the volume key tells whether that is right.
	Epoch uint64 `json:"epoch,omitempty"`
	// Fingerprint is the SHA-256 of the first 32,768 bytes, in hex, whatever
	// they hold; empty when the input is shorter.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Copies are the binary headers that lie inside the input.
	Copies []Copy `json:"copies"`
	// Metadata are the values of the JSON area in their order, as far as it
	// can be parsed. Names can appear twice in a hostile one.
	Metadata []Field `json:"metadata"`
}

// Copy is one of the two binary headers.
type Copy struct {
	Name         string `json:"name"` // "first copy" or "second copy"
	Magic        string `json:"magic"`
	Version      uint16 `json:"version"`
	HeaderSize   uint64 `json:"hdr_size"`
	SeqID        uint64 `json:"seqid"`
	Label        string `json:"label"`
	ChecksumAlg  string `json:"csum_alg"`
	Salt         string `json:"salt"` // hex
	UUID         string `json:"uuid"`
	Subsystem    string `json:"subsystem"`
	HeaderOffset uint64 `json:"hdr_offset"`
	Checksum     string `json:"csum"`          // hex, of the first 32 bytes
	Computed     string `json:"csum_computed"` // hex, SHA-256
}

// Field is one value of the JSON area.
type Field struct {
	// Path is like "keyslots.0.kdf.memory"; items of a list share its path.
	Path string `json:"path"`
	// Value is the text of a string or the spelling of a number or word; an
	// empty object is "{}" and an empty list "[]".
	Value string `json:"value"`
}

// Inspect judges the start of a device, as [Read] would, and reports what is
// there. It takes any bytes, also none, and never fails. [Read] sees the first
// 3,112,960 bytes; with less, key slots behind the end are violations.
func Inspect(b []byte, p Profile) *Report {
	if len(b) > regionSize {
		b = b[:regionSize]
	}
	e := examine(b, p)
	r := &Report{
		ProfileVersion: ProfileVersion,
		Accepted:       !e.any(),
		Violations:     e.violations(),
		Copies:         []Copy{},
		Metadata:       []Field{},
	}
	if len(b) >= headersSize {
		sum := sha256.Sum256(b[:headersSize])
		r.Fingerprint = hex.EncodeToString(sum[:])
	}
	for n := range e.copies {
		if e.whole[n] {
			r.Copies = append(r.Copies, reportCopy(&e.copies[n], e.copy(n), n))
		}
	}
	if e.root != nil {
		r.flatten(e.root, "")
	}
	if r.Accepted {
		r.Violations = []Violation{}
		h := e.header(0)
		r.UUID, r.Integrity, r.Keyslots, r.Epoch = h.UUID().String(), h.Integrity().String(), h.Keyslots(), h.Epoch()
	}
	return r
}

func reportCopy(h *binaryHeader, b []byte, n int) Copy {
	sum := checksum(b)
	return Copy{
		Name:         copyNames[n],
		Magic:        quote(string(h.Magic[:])),
		Version:      h.Version,
		HeaderSize:   h.HdrSize,
		SeqID:        h.SeqID,
		Label:        printable(h.Label[:]),
		ChecksumAlg:  printable(h.CsumAlg[:]),
		Salt:         hex.EncodeToString(h.Salt[:]),
		UUID:         printable(h.UUID[:]),
		Subsystem:    printable(h.Subsystem[:]),
		HeaderOffset: h.HdrOffset,
		Checksum:     hex.EncodeToString(h.Csum[:sha256.Size]),
		Computed:     hex.EncodeToString(sum[:]),
	}
}

// printable returns a NUL-padded field as it is when it is plain, else quoted.
func printable(field []byte) string {
	return plainOr(strings.TrimRight(string(field), "\x00"), maxQuoted)
}

// maxShown bounds one value of the JSON area; real ones have at most 44 bytes.
const maxShown = 128

// plainOr returns s when it is short, printable ASCII that cannot be taken for
// two values or for a quoted one, and a quoted part of it otherwise.
func plainOr(s string, limit int) string {
	if len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '"' }) {
		return quote(s)
	}
	return s
}

func (r *Report) flatten(n *node, path string) {
	if len(n.vals) == 0 {
		value := plainOr(n.text, maxShown)
		switch n.kind {
		case '{':
			value = "{}"
		case '[':
			value = "[]"
		}
		r.Metadata = append(r.Metadata, Field{path, value})
		return
	}
	for i, v := range n.vals {
		if n.kind == '{' {
			r.flatten(v, step(path, n.keys[i]))
		} else {
			r.flatten(v, path)
		}
	}
}

// Verdict returns one line: accepted, or how many violations there are.
func (r *Report) Verdict() string {
	if r.Accepted {
		return fmt.Sprintf("accepted by profile version %d", r.ProfileVersion)
	}
	return fmt.Sprintf("rejected by profile version %d, violations: %d", r.ProfileVersion, len(r.Violations))
}

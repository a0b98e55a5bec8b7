package dm

import (
	"bytes"
	"fmt"
)

// IntegrityStatus is what an integrity target reports of itself.
type IntegrityStatus struct {
	Mismatches      uint64 // tags that did not match, where the target computes them
	ProvidedSectors uint64 // size of the data, in sectors of 512 bytes
	Recalculating   bool   // it computes tags anew
}

// IntegrityStatus returns what the only target of a mapping reports, an integrity
// target's.
func (c *Control) IntegrityStatus(name string) (IntegrityStatus, error) {
	lines, err := c.Status(name)
	if err != nil {
		return IntegrityStatus{}, err
	}
	s, err := integrityStatus(lines)
	return s, opError("status", name, err)
}

func integrityStatus(lines []StatusLine) (IntegrityStatus, error) {
	if len(lines) != 1 || lines[0].Kind != "integrity" {
		return IntegrityStatus{}, fmt.Errorf("%w: the status is not one integrity target's", ErrTableDiffers)
	}
	s, err := parseIntegrityStatus(lines[0].Text)
	if err != nil {
		err = fmt.Errorf("integrity status %q: %w", lines[0].Text, err)
	}
	return s, err
}

// parseIntegrityStatus reads "<mismatches> <provided sectors> <recalculated or ->";
// a later kernel may say more behind that.
func parseIntegrityStatus(text string) (IntegrityStatus, error) {
	w := wordsOf(bytes.Fields([]byte(text)))
	s := IntegrityStatus{Mismatches: w.number(), ProvidedSectors: w.number()}
	s.Recalculating = w.next() != "-"
	return s, w.err
}

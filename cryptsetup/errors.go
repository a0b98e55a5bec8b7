package cryptsetup

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that a caller decides on, found with errors.Is.
var (
	// ErrHeaderRejected: the header is outside the profile. The error of [Read] is a
	// *[RejectedError] that lists every violation.
	ErrHeaderRejected = errors.New("LUKS2 header rejected")
	// ErrNoHeader: neither place of a LUKS2 header starts with its magic. It
	// is also an ErrHeaderRejected. It does not mean that the device is blank.
	ErrNoHeader = errors.New("no LUKS2 header")
	// ErrWrongKey: no key slot opens with this passphrase. The error is a
	// *[WrongKeyError] that lists the slots that were tried.
	ErrWrongKey = errors.New("wrong key")
	// ErrNoKeyslots: the header has no key slots, so no passphrase can open
	// the volume. It is also an ErrWrongKey.
	ErrNoKeyslots = errors.New("volume has no key slots")
	// ErrEmptyPassphrase: a passphrase of no bytes is never accepted.
	ErrEmptyPassphrase = errors.New("empty passphrase")
	// ErrKeyslotsFull: all eight key slots are in use.
	ErrKeyslotsFull = errors.New("all key slots are in use")
	// ErrKeyslotNotFound: there is no key slot of this number.
	ErrKeyslotNotFound = errors.New("no such key slot")
	// ErrVolumeKeyMismatch: the volume key is not the one of this header.
	ErrVolumeKeyMismatch = errors.New("volume key does not belong to this header")
	// ErrKDFBounds: key derivation parameters outside the bounds.
	ErrKDFBounds = errors.New("key derivation parameters out of bounds")
)

// RejectedError says that a header is outside the profile, and in which ways.
// It is an [ErrHeaderRejected], and an [ErrNoHeader] when there was no header
// at all.
type RejectedError struct {
	// Violations is never empty; the order is that of the format.
	Violations []Violation
}

// shownViolations is how many an error message spells out.
const shownViolations = 4

// Error names the first few violations and how many more there are.
func (e *RejectedError) Error() string {
	var b strings.Builder
	b.WriteString(ErrHeaderRejected.Error())
	for i, v := range e.Violations {
		if i == shownViolations {
			fmt.Fprintf(&b, "; and %d more", len(e.Violations)-i)
			break
		}
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + v.String())
	}
	return b.String()
}

// Is reports whether target is ErrHeaderRejected, or ErrNoHeader and that is
// what happened.
func (e *RejectedError) Is(target error) bool {
	return target == ErrHeaderRejected || target == ErrNoHeader && e.Has(RuleHeaderNone)
}

// Has reports whether a rule is among the violations.
func (e *RejectedError) Has(rule string) bool {
	for _, v := range e.Violations {
		if v.Rule == rule {
			return true
		}
	}
	return false
}

// WrongKeyError says that no key slot opened. It is an [ErrWrongKey], and an
// [ErrNoKeyslots] when there was none to try.
type WrongKeyError struct {
	// Tried holds the numbers of the key slots that were tried, ascending.
	Tried []int
}

// Error names the slots that were tried.
func (e *WrongKeyError) Error() string {
	if len(e.Tried) == 0 {
		return ErrNoKeyslots.Error() + ": its key was never stored, no passphrase can open it"
	}
	return fmt.Sprintf("%v: tried key slots %v", ErrWrongKey, e.Tried)
}

// Is reports whether target is ErrWrongKey, or ErrNoKeyslots and that is what
// happened.
func (e *WrongKeyError) Is(target error) bool {
	return target == ErrWrongKey || target == ErrNoKeyslots && len(e.Tried) == 0
}

package guestpull

import "fmt"

// mismatch is content that is not what its digest says.
type mismatch struct {
	what             string
	actual, expected fmt.Stringer
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("%s is %s, not %s: it was changed on the way, or where it came from", m.what, m.actual, m.expected)
}

// discreet is the same without the digest of what came.
func (m *mismatch) discreet() error {
	return refuse(ErrRejected, "", "%s is not %s: it was changed on the way, or where it came from", m.what, m.expected)
}

func wrongDigest(what string, actual, expected fmt.Stringer) error {
	return refuse(ErrRejected, "", "%w", &mismatch{what, actual, expected})
}

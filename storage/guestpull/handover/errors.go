package handover

import "errors"

// What a caller can decide on, found with errors.Is.
var (
	// ErrNone: the mount or the storage hands nothing over.
	ErrNone = errors.New("no volume is handed over")
	// ErrSeveral: it hands over more than one, and one is expected.
	ErrSeveral = errors.New("more than one volume is handed over")
	// ErrTooLong: it is longer than [MaxBytes].
	ErrTooLong = errors.New("longer than the limit")
	// ErrMalformed: no base64, no JSON, or JSON with unknown, repeated or missing
	// members.
	ErrMalformed = errors.New("malformed")
	// ErrUnknownType: the volume type is none of Kata's.
	ErrUnknownType = errors.New("unknown volume type")
	// ErrInvalid: a member is missing or does not fit the volume type.
	ErrInvalid = errors.New("invalid volume")
	// ErrUnsupported: a valid volume whose contents the host would provide.
	ErrUnsupported = errors.New("unsupported volume type")
	// ErrNoImage: guest pull, but of no image.
	ErrNoImage = errors.New("no image is named")
	// ErrContradiction: the source and the metadata disagree on whether this is the
	// sandbox.
	ErrContradiction = errors.New("source and container type contradict each other")
)

package dm

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Target is what a run of sectors of a mapping is mapped to. Its parameters come
// from typed values only.
type Target interface {
	// Kind is the kernel's name of the target.
	Kind() string
	// Params is the parameter string, as it is loaded.
	Params() string
}

// Line maps Length sectors from sector Start of the mapping. Both count
// sectors of 512 bytes.
type Line struct {
	Start, Length uint64
	Target        Target
}

// String returns the line as dmsetup prints it, without keys.
func (l Line) String() string {
	return fmt.Sprintf("%d %d %s %s", l.Start, l.Length, l.Target.Kind(), l.Target.Params())
}

// Table is a whole mapping: its lines must follow each other without a gap.
type Table []Line

// Sectors returns the size of the mapping in sectors of 512 bytes.
func (t Table) Sectors() uint64 {
	if len(t) == 0 {
		return 0
	}
	last := t[len(t)-1]
	return last.Start + last.Length
}

func (t Table) check() error {
	if len(t) == 0 {
		return fmt.Errorf("%w: no lines", ErrInvalidTable)
	}
	var next uint64
	for i, l := range t {
		switch {
		case l.Start != next:
			return fmt.Errorf("%w: line %d starts at sector %d, want %d", ErrInvalidTable, i, l.Start, next)
		case l.Length == 0:
			return fmt.Errorf("%w: line %d has no sectors", ErrInvalidTable, i)
		case l.Start+l.Length < l.Start:
			return fmt.Errorf("%w: line %d ends beyond 2^64 sectors", ErrInvalidTable, i)
		case l.Target == nil || len(l.Target.Kind()) >= unix.DM_MAX_TYPE_NAME:
			return fmt.Errorf("%w: line %d has no target that the kernel could know", ErrInvalidTable, i)
		case foreign(l.Target):
			return fmt.Errorf("%w: line %d has what only another program loads: %v", ErrInvalidTable, i, l)
		}
		next = l.Start + l.Length
	}
	return nil
}

// foreign reports whether a target comes from a live table and holds what is never
// loaded from here.
func foreign(t Target) bool {
	switch t := t.(type) {
	case Unknown:
		return true
	case Crypt:
		return t.Foreign != CryptForeign{}
	case Integrity:
		return t.Foreign != ""
	}
	return false
}

// encode returns the target specifications with their parameters, each padded
// to 8 bytes, as the load command takes them.
func (t Table) encode() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var out []byte
	for _, l := range t {
		params := l.Target.Params()
		spec := unix.DmTargetSpec{
			Sector_start: l.Start,
			Length:       l.Length,
			Next:         uint32(align8(unix.SizeofDmTargetSpec + len(params) + 1)),
		}
		copy(spec.Target_type[:], l.Target.Kind())
		end := len(out) + int(spec.Next)
		var err error
		if out, err = binary.Append(out, binary.NativeEndian, &spec); err != nil {
			return nil, err
		}
		out = append(out, params...)
		out = append(out, make([]byte, end-len(out))...)
	}
	return out, nil
}

func align8(n int) int { return (n + 7) &^ 7 }

package dm

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// LiveLine is one line of a table, or of its status, as the kernel prints it.
type LiveLine struct {
	Start, Length uint64 // sectors of 512 bytes
	Kind          string
	Params        string
}

// String returns the line as dmsetup prints it.
func (l LiveLine) String() string {
	return fmt.Sprintf("%d %d %s %s", l.Start, l.Length, l.Kind, l.Params)
}

// Table returns the live table; none when the mapping has no live table. A key
// that was given as hexadecimal digits is part of it; a logon key is named only.
func (c *Control) Table(name string) ([]LiveLine, error) {
	lines, err := c.lines(name, unix.DM_STATUS_TABLE_FLAG)
	return lines, opError("table", name, err)
}

// Status returns what the targets of the live table report, one line for each.
func (c *Control) Status(name string) ([]LiveLine, error) {
	lines, err := c.lines(name, 0)
	return lines, opError("status", name, err)
}

func (c *Control) lines(name string, flags uint32) ([]LiveLine, error) {
	if err := findable(name); err != nil {
		return nil, err
	}
	// Without noflush the kernel would write out a device before it answers.
	r, err := c.run(request{command: unix.DM_TABLE_STATUS, name: name,
		flags: flags | unix.DM_NOFLUSH_FLAG, secret: true})
	if err != nil {
		return nil, classify(err)
	}
	return parseLines(r.data, r.header.Target_count)
}

// parseLines reads target specifications, each followed by its text; Next counts
// from the start of the answer, not from its own line.
func parseLines(b []byte, count uint32) ([]LiveLine, error) {
	var lines []LiveLine
	for at := uint64(0); count > 0; count-- {
		if at+unix.SizeofDmTargetSpec > uint64(len(b)) {
			return nil, errShort
		}
		var spec unix.DmTargetSpec
		if _, err := binary.Decode(b[at:], binary.NativeEndian, &spec); err != nil {
			return nil, err
		}
		lines = append(lines, LiveLine{
			Start:  spec.Sector_start,
			Length: spec.Length,
			Kind:   untilNUL(spec.Target_type[:]),
			Params: untilNUL(b[at+unix.SizeofDmTargetSpec:]),
		})
		if uint64(spec.Next) <= at && count > 1 {
			return nil, errShort
		}
		at = uint64(spec.Next)
	}
	return lines, nil
}

// Matches compares a live table with the one that was meant, line by line and
// byte by byte. The error names the first difference and wraps
// [ErrTableDiffers].
func (t Table) Matches(live []LiveLine) error {
	if len(live) != len(t) {
		return fmt.Errorf("%w: %d lines, want %d", ErrTableDiffers, len(live), len(t))
	}
	for i, l := range t {
		want := LiveLine{l.Start, l.Length, l.Target.Kind(), l.Target.Params()}
		if live[i] != want {
			return fmt.Errorf("%w: line %d is %q, want %q", ErrTableDiffers, i, live[i], want)
		}
	}
	return nil
}

// Deps returns the devices that the live table of a mapping uses.
func (c *Control) Deps(name string) ([]Device, error) {
	deps, err := c.deps(name)
	return deps, opError("deps", name, err)
}

const depsHeader = 8 // count u32 and padding

func (c *Control) deps(name string) ([]Device, error) {
	if err := findable(name); err != nil {
		return nil, err
	}
	r, err := c.run(request{command: unix.DM_TABLE_DEPS, name: name})
	if err != nil {
		return nil, classify(err)
	}
	return parseDeps(r.data)
}

func parseDeps(b []byte) ([]Device, error) {
	if len(b) < depsHeader {
		return nil, nil // no live table
	}
	count := uint64(binary.NativeEndian.Uint32(b))
	if count > uint64(len(b)-depsHeader)/8 {
		return nil, errShort
	}
	deps := make([]Device, count)
	for i := range deps {
		deps[i] = fromRdev(binary.NativeEndian.Uint64(b[depsHeader+8*i:]))
	}
	return deps, nil
}

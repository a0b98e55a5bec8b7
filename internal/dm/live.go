package dm

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// StatusLine is what one target of a live table reports.
type StatusLine struct {
	Start, Length uint64 // sectors of 512 bytes
	Kind          string
	Text          string // the kernel's, in a form of each target's own
}

// Table returns the live table; none when the mapping has no live table. What it
// cannot read of it is [Unknown] there.
func (c *Control) Table(name string) (Table, error) {
	table, err := c.table(name)
	return table, opError("table", name, err)
}

func (c *Control) table(name string) (table Table, err error) {
	err = c.lines(name, unix.DM_STATUS_TABLE_FLAG, func(start, length uint64, kind string, params []byte) {
		table = append(table, Line{start, length, ParseTarget(kind, params)})
	})
	return table, err
}

// Status returns what the targets of the live table report, one line for each.
func (c *Control) Status(name string) ([]StatusLine, error) {
	var lines []StatusLine
	err := c.lines(name, 0, func(start, length uint64, kind string, text []byte) {
		lines = append(lines, StatusLine{start, length, kind, string(text)})
	})
	return lines, opError("status", name, err)
}

// lines tells of each line of the answer. The text is wiped afterwards: it may
// hold a key.
func (c *Control) lines(name string, flags uint32, tell func(start, length uint64, kind string, text []byte)) error {
	if err := findable(name); err != nil {
		return err
	}
	// Without noflush the kernel would write out a device before it answers.
	r, err := c.run(request{command: unix.DM_TABLE_STATUS, name: name,
		flags: flags | unix.DM_NOFLUSH_FLAG, secret: true})
	if err != nil {
		return classify(err)
	}
	defer clear(r.data)
	return parseLines(r.data, r.header.Target_count, tell)
}

// parseLines reads target specifications, each followed by its text; Next counts
// from the start of the answer, not from its own line.
func parseLines(b []byte, count uint32, tell func(start, length uint64, kind string, text []byte)) error {
	for at := uint64(0); count > 0; count-- {
		if at+unix.SizeofDmTargetSpec > uint64(len(b)) {
			return errShort
		}
		var spec unix.DmTargetSpec
		if _, err := binary.Decode(b[at:], binary.NativeEndian, &spec); err != nil {
			return err
		}
		text, _, _ := bytes.Cut(b[at+unix.SizeofDmTargetSpec:], []byte{0})
		tell(spec.Sector_start, spec.Length, untilNUL(spec.Target_type[:]), text)
		if uint64(spec.Next) <= at && count > 1 {
			return errShort
		}
		at = uint64(spec.Next)
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

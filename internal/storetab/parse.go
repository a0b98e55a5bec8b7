package storetab

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// DefaultFile is where a system has its table.
const DefaultFile = "/etc/trusted-store.tab"

// MaxFile is the largest table that is read, in bytes.
const MaxFile = 64 << 10

// Entry is a line of the table: a store.
type Entry struct {
	Line       int
	Name       string
	Device     Device
	MountPoint string // absolute and clean, or NoMount
	Options    []Option
}

// Option is NAME or NAME=VALUE.
type Option struct{ Name, Value string }

// String is the option as it was written.
func (o Option) String() string {
	if o.Value == "" {
		return o.Name
	}
	return o.Name + "=" + o.Value
}

// NoMount as a mount point asks for the mapping alone.
const NoMount = "none"

// LineError is what is wrong with a line.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Parse reads a table. File names it in errors, one [LineError] for each line that
// is wrong; then there are no entries.
func Parse(file string, text []byte) ([]Entry, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", file, MaxFile)
	}
	var entries []Entry
	var wrong []error
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		e, err := parseLine(line, fields)
		if err == nil {
			err = differs(e, entries)
		}
		if err != nil {
			wrong = append(wrong, &LineError{file, i + 1, err})
			continue
		}
		e.Line = i + 1
		entries = append(entries, e)
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	return entries, nil
}

func parseLine(line string, fields []string) (e Entry, err error) {
	if !utf8.ValidString(line) {
		return e, errors.New("not UTF-8")
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return e, fmt.Errorf("control character %q", line[i])
	}
	if len(fields) < 3 || len(fields) > 4 {
		return e, fmt.Errorf("%d fields, expected NAME DEVICE MOUNTPOINT and, at most, OPTIONS without blanks", len(fields))
	}
	e.Name, e.MountPoint = fields[0], fields[2]
	if err := checkName(e.Name); err != nil {
		return e, err
	}
	if e.Device, err = parseDevice(fields[1]); err != nil {
		return e, err
	}
	if err := checkMountPoint(e.MountPoint); err != nil {
		return e, err
	}
	if len(fields) == 4 {
		e.Options, err = parseOptions(fields[3])
	}
	return e, err
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	// longestName is that of a mapping.
	longestName = 75
)

// checkName accepts what names a mapping, and a unit without an escape.
func checkName(name string) error {
	if len(name) > longestName || strings.Trim(name, letters+"_.-") != "" || !strings.Contains(letters, name[:1]) {
		return fmt.Errorf("name %q: expected 1 to %d letters, digits or _ . -, a letter or digit first", name, longestName)
	}
	return nil
}

// checkMountPoint accepts what a unit can hold as it is.
func checkMountPoint(dir string) error {
	switch {
	case dir == NoMount:
		return nil
	case !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/":
		return fmt.Errorf("mount point %q: expected none, or an absolute path without //, . and .., and no slash at the end", dir)
	case strings.Trim(dir, letters+"/_.:@+=~-") != "":
		return fmt.Errorf("mount point %q: expected letters, digits and / _ . : @ + = ~ -", dir)
	}
	return nil
}

// parseOptions reads NAME[=VALUE],…; which there are is not decided here.
func parseOptions(text string) ([]Option, error) {
	var all []Option
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, hasValue := strings.Cut(part, "=")
		switch {
		case name == "":
			return nil, fmt.Errorf("options %q: expected NAME or NAME=VALUE between commas", text)
		case hasValue && value == "":
			return nil, fmt.Errorf("option %s= has no value", name)
		case seen[name]:
			return nil, fmt.Errorf("option %s is there twice", name)
		}
		seen[name] = true
		all = append(all, Option{name, value})
	}
	return all, nil
}

// differs finds what two lines must not have in common.
func differs(e Entry, others []Entry) error {
	for _, o := range others {
		switch {
		case o.Name == e.Name:
			return fmt.Errorf("name %s is that of line %d", e.Name, o.Line)
		case o.Device == e.Device:
			return fmt.Errorf("device %s is that of line %d", e.Device, o.Line)
		case o.MountPoint == e.MountPoint && e.MountPoint != NoMount:
			return fmt.Errorf("mount point %s is that of line %d", e.MountPoint, o.Line)
		}
	}
	return nil
}

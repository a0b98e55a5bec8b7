package dm

import "time"

// SetNodeWait bounds how long c waits for udev.
func (c *Control) SetNodeWait(d time.Duration) { c.nodeWait = d }

// What the tests of the binary format call.
var (
	ParseNames    = parseNames
	ParseVersions = parseVersions
	ParseDeps     = parseDeps
)

// ParseLines returns the lines of an answer.
func ParseLines(b []byte, count uint32) (lines []StatusLine, err error) {
	err = parseLines(b, count, func(start, length uint64, kind string, text []byte) {
		lines = append(lines, StatusLine{start, length, kind, string(text)})
	})
	return lines, err
}

// ParseIntegrityStatus reads what an integrity target reports.
func ParseIntegrityStatus(text string) (IntegrityStatus, error) {
	return integrityStatus([]StatusLine{{Length: 8, Kind: "integrity", Text: text}})
}

// Encode returns the bytes that are loaded.
func (t Table) Encode() ([]byte, error) { return t.encode() }

// SetRuleDirs changes where udev's rules are looked for, and returns what undoes it.
func SetRuleDirs(dirs ...string) (undo func()) {
	before := ruleDirs
	ruleDirs = dirs
	return func() { ruleDirs = before }
}

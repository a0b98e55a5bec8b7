package dm

import "time"

// SetNodeWait bounds how long c waits for udev.
func (c *Control) SetNodeWait(d time.Duration) { c.nodeWait = d }

// What the tests of the binary format call.
var (
	ParseLines    = parseLines
	ParseNames    = parseNames
	ParseVersions = parseVersions
	ParseDeps     = parseDeps
)

// Encode returns the bytes that are loaded.
func (t Table) Encode() ([]byte, error) { return t.encode() }

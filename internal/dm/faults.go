package dm

import "fmt"

// Error fails every read and write with EIO. Source: drivers/md/dm-target.c.
type Error struct{}

// Kind returns "error".
func (Error) Kind() string { return "error" }

// Params returns nothing.
func (Error) Params() string { return "" }

// Zero reads as zeros and drops writes. Source: drivers/md/dm-zero.c.
type Zero struct{}

// Kind returns "zero".
func (Zero) Kind() string { return "zero" }

// Params returns nothing.
func (Zero) Params() string { return "" }

// FlakeyMode is what a [Flakey] target does while it is down.
type FlakeyMode string

const (
	// FlakeyErrors fails reads and writes.
	FlakeyErrors FlakeyMode = ""
	// FlakeyErrorWrites fails writes; reads work.
	FlakeyErrorWrites FlakeyMode = "error_writes"
	// FlakeyDropWrites drops writes and says that they were done.
	FlakeyDropWrites FlakeyMode = "drop_writes"
)

// Flakey works for Up seconds, then misbehaves for Down seconds, and so on.
// Source: drivers/md/dm-flakey.c.
type Flakey struct {
	Device   Device
	Offset   uint64
	Up, Down uint // seconds, not both 0
	Mode     FlakeyMode
}

// Kind returns "flakey".
func (Flakey) Kind() string { return "flakey" }

// Params returns "<device> <offset> <up> <down>" and the mode.
func (f Flakey) Params() string {
	params := fmt.Sprintf("%v %d %d %d", f.Device, f.Offset, f.Up, f.Down)
	if f.Mode == FlakeyErrors {
		return params
	}
	return params + optionList([]string{string(f.Mode)})
}

// Delay holds every read and write back. Source: drivers/md/dm-delay.c.
type Delay struct {
	Device       Device
	Offset       uint64
	Milliseconds uint
}

// Kind returns "delay".
func (Delay) Kind() string { return "delay" }

// Params returns "<device> <offset> <milliseconds>".
func (d Delay) Params() string { return fmt.Sprintf("%v %d %d", d.Device, d.Offset, d.Milliseconds) }

// Dust is a device on which blocks can be declared bad while it is in use, by
// [Control.Message]. Source: drivers/md/dm-dust.c.
type Dust struct {
	Device    Device
	Offset    uint64
	BlockSize int // bytes
}

// Kind returns "dust".
func (Dust) Kind() string { return "dust" }

// Params returns "<device> <offset> <block size>".
func (d Dust) Params() string { return fmt.Sprintf("%v %d %d", d.Device, d.Offset, d.BlockSize) }

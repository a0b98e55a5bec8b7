package dm

import "fmt"

// Linear maps to another device from sector Offset of it.
// Source: drivers/md/dm-linear.c.
type Linear struct {
	Device Device
	Offset uint64
}

// Kind returns "linear".
func (Linear) Kind() string { return "linear" }

// Params returns "<device> <offset>".
func (l Linear) Params() string { return fmt.Sprintf("%v %d", l.Device, l.Offset) }

package dm

import (
	"bytes"
	"fmt"
)

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

func parseLinear(params []byte) (l Linear, err error) {
	w := wordsOf(bytes.Fields(params))
	l.Device = w.device()
	l.Offset = w.number()
	w.end()
	return l, w.err
}
